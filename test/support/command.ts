/** Commands of `skein` in this process, and a hub of this process for them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { runProgram } from '../../src/cli/main.ts';
import { createHub, type Hub, nodePlatform } from '../../src/node.ts';
import { type MemoryProcess, type MemoryProcessOptions, memoryProcess } from './memory-process.ts';

export interface Running {
  readonly process: MemoryProcess;
  readonly code: Promise<number>;
}

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface OwnHub {
  readonly hub: Hub;
  /** Where commands run; the hub keeps what is its own in `hub` there. */
  readonly folder: string;
  token(...services: string[]): Promise<string>;
}

export function startCommand(argv: readonly string[], options: MemoryProcessOptions): Running {
  const process = memoryProcess(options);
  return { process, code: runProgram(argv, { platform: nodePlatform(), process, version: '1.2.3' }) };
}

export async function runCommand(argv: readonly string[], options: MemoryProcessOptions): Promise<Said> {
  const { process, code } = startCommand(argv, options);
  return { code: await code, out: process.out(), err: process.err() };
}

/** A hub that lives as long as the test. Hooks run in the order in which they were asked for: whatever needs the hub asks first. */
export async function startOwnHub(t: TestContext): Promise<OwnHub> {
  const folder = await mkdtemp(join(tmpdir(), 'skein-command-'));
  const hub = await createHub({ listen: { host: '127.0.0.1', port: 0 }, dataFolder: join(folder, 'hub') });
  t.after(async () => {
    await hub.close();
    await rm(folder, { recursive: true });
  });
  return { hub, folder, token: async (...services) => (await hub.createJoinToken({ services })).text };
}
