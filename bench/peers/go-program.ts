/** Programs of the Go module proxy: the command on PATH, or one version of it, built once with `go` and kept. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../test/support/repository.ts';
import { type Found, findCommand } from './peer.ts';

export interface GoProgram {
  readonly command: string;
  /** Of its main package, without a version. */
  readonly importPath: string;
  /** An exact one: the newest cannot be asked of every proxy. */
  readonly version: string;
}

export function findGoProgram({ command, importPath, version }: GoProgram): Found {
  const onPath = findCommand(command, ['--version'], '');
  if (!('missing' in onPath)) return onPath;
  const folder = join(root, 'node_modules/.cache/skein/peers', `${command}-${version}`);
  const binary = join(folder, command);
  const reason = existsSync(binary) ? undefined : build(folder, command, `${importPath}@${version}`);
  return reason === undefined ? { command: binary, version } : { missing: `no ${command} on PATH, and ${reason}` };
}

/** @returns why it could not be built */
function build(folder: string, command: string, target: string): string | undefined {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'go.mod'), 'module bench\n');
  const go = (...args: string[]) => spawnSync('go', args, { cwd: folder, encoding: 'utf8', timeout: 600_000 });
  const fetched = go('get', target);
  if (fetched.error !== undefined) return `no go to build it with (go install ${target})`;
  if (fetched.status !== 0) return `go cannot fetch ${target}`;
  const [importPath = ''] = target.split('@');
  return go('build', '-o', command, importPath).status === 0 ? undefined : `go cannot build ${target}`;
}
