/** A hub of this process, and commands of its administrator against it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { runProgram } from '../../src/cli/main.ts';
import { createHub, type Hub, nodePlatform } from '../../src/node.ts';
import { memoryProcess } from './memory-process.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Administrator {
  readonly hub: Hub;
  readonly folder: string;
  /** Writes a file into the folder where commands run. */
  write(path: string, content: string): Promise<void>;
  run(...argv: readonly string[]): Promise<Said>;
}

export async function createAdministrator(t: TestContext): Promise<Administrator> {
  const folder = await mkdtemp(join(tmpdir(), 'skein-admin-'));
  const hub = await createHub({ listen: { host: '127.0.0.1', port: 0 }, dataFolder: join(folder, 'hub') });
  t.after(async () => {
    await hub.close();
    await rm(folder, { recursive: true });
  });
  return {
    hub,
    folder,
    write: (path, content) => writeFile(join(folder, path), content),
    async run(...argv) {
      const env = { SKEIN_HUB: hub.url, SKEIN_DATA: 'hub' };
      const process = memoryProcess({ folder, env });
      const code = await runProgram(argv, { platform: nodePlatform(), process, version: '1.2.3' });
      return { code, out: process.out(), err: process.err() };
    },
  };
}
