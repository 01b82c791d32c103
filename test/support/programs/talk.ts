/**
 * `talk.js HOST:PORT COUNT PERIOD_MS [SECONDS]`: conversations that last, over raw connections to an origin, so long or until
 * its stdin ends. Prints a ready line when all are open, and at the end what became of them, as one line of JSON.
 */
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { LastingStreams, throughTcp } from '../lasting-streams.ts';

const [to = '', count, periodMs, seconds] = process.argv.slice(2);
const streams = await LastingStreams.start(Number(count), throughTcp(to), { periodMs: Number(periodMs) });
process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'talk', addresses: {} })}\n`);
if (seconds === undefined) await once(process.stdin.resume(), 'end');
else await wait(Number(seconds) * 1_000);
process.stdout.write(`${JSON.stringify(await streams.finish())}\n`);
process.exit(0);
