/** A hub of this process, and commands of its administrator against it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type OwnHub, runCommand, type Said, startOwnHub } from './command.ts';

export interface Administrator extends Pick<OwnHub, 'hub' | 'folder'> {
  /** Writes a file into the folder where commands run. */
  write(path: string, content: string): Promise<void>;
  run(...argv: readonly string[]): Promise<Said>;
}

/** @param env of its commands, beside what leads them to the hub */
export async function createAdministrator(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
): Promise<Administrator> {
  const { hub, folder } = await startOwnHub(t);
  return {
    hub,
    folder,
    write: (path, content) => writeFile(join(folder, path), content),
    run: (...argv) => runCommand(argv, { folder, env: { SKEIN_HUB: hub.url, SKEIN_DATA: 'hub', ...env } }),
  };
}
