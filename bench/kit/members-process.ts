/** What the programs that are many members at once have in common: they are told what to do line by line, and do it some at a time. */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

/** At once: what the hub takes of strangers without making the oldest wait. */
const AT_ONCE = 64;

export interface Spread {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Each command reads those that it is about. */
export interface Command {
  readonly count: number;
  readonly first: number;
  readonly of: number;
  readonly watchers: number;
  readonly sinceMs: number;
  readonly healthy: boolean;
  readonly service?: string;
}

/** Says that it is ready, then does what each line of stdin says, one after the other, and answers with a line. */
export async function serveCommands(
  commands: Readonly<Record<string, (command: Command) => Promise<object>>>,
): Promise<void> {
  process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'members', addresses: {} })}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command & { readonly id: number; readonly do: string };
    const run = commands[command.do];
    if (run === undefined) throw new RangeError(`Unknown command: ${command.do}`);
    process.stdout.write(`${JSON.stringify({ id: command.id, done: true, ...(await run(command)) })}\n`);
  }
}

/** Runs `once` for each index below `count`. */
export async function inTurn(count: number, once: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const track = async () => {
    while (next < count) await once(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, track));
}

/** A join token for one service of the namespace `default`. */
export async function createToken(hub: string, adminToken: string, service: string): Promise<string> {
  const response = await fetch(`${hub.replace(/^ws/, 'http')}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ services: [service] }),
  });
  if (!response.ok) throw new Error(`The hub made no token: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}

/** Epoch milliseconds, as other processes of this machine have them too. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

export async function untilTrue(holds: () => boolean, everyMs: number): Promise<void> {
  while (!holds()) await wait(everyMs);
}

export function spreadOf(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1));
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
