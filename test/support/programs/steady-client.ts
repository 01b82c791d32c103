/** `steady-client.js '{"through":…}'`: a steady load (steady-load.ts) until its stdin ends; prints the result as JSON. */
import { once } from 'node:events';
import process from 'node:process';
import { runSteady, type SteadyOptions } from '../steady-load.ts';

process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'client', addresses: {} })}\n`);
process.stdin.resume();
const stop = once(process.stdin, 'end').then(() => undefined);
const result = await runSteady(JSON.parse(process.argv[2] ?? '') as SteadyOptions, stop);
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
