/** Two programs in a row with files of their own, for peers that are started by a command and a configuration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from '../../test/support/process.ts';
import type { Running } from '../kit/contender.ts';
import { waitUntilListening } from '../kit/port.ts';

export interface Half {
  readonly args: readonly string[];
  /** Of 127.0.0.1; it is ready when it listens there. */
  readonly port: number;
}

export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'skein-peer-'));

  /** @returns its path */
  write(name: string, text: string): string {
    const path = join(this.path, name);
    writeFileSync(path, text);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Starts the inner half, then the outer one; clients connect to the port of the outer one. */
export async function startPair(
  description: Pick<Running, 'name' | 'description' | 'configuration'>,
  command: string | { readonly inner: string; readonly outer: string },
  halves: { readonly inner: Half; readonly outer: Half },
  remove: () => void = () => undefined,
): Promise<Running> {
  const commands = typeof command === 'string' ? { inner: command, outer: command } : command;
  const programs: Program[] = [];
  const close = async () => {
    for (const program of programs.reverse()) await program.kill();
    remove();
  };
  try {
    for (const half of ['inner', 'outer'] as const) {
      const { args, port } = halves[half];
      const program = new Program(commands[half], args, { name: `${description.name}, ${half}` });
      programs.push(program);
      await waitUntilListening(port, program);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const pids = programs.map(({ pid }) => pid);
  return {
    ...description,
    address: `127.0.0.1:${halves.outer.port}`,
    pids: () => ({ proxies: pids }),
    close,
  };
}
