/** Looks for secrets where nobody should find any: in what programs print, in the arguments of processes, in files that others may read. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface Secret {
  readonly name: string;
  readonly text: string;
}

/** A part of a secret is one too: whoever has half of it has less to guess. */
const PIECE_CHARS = 16;

/** Names of the secrets of which `text` holds a piece, with where that was. */
export function findIn(where: string, text: string, secrets: readonly Secret[]): string[] {
  return secrets.filter((secret) => holdsPiece(text, secret.text)).map(({ name }) => `${name} in ${where}`);
}

function holdsPiece(text: string, secret: string): boolean {
  const last = Math.max(0, secret.length - PIECE_CHARS);
  for (let at = 0; at <= last; at++) if (text.includes(secret.slice(at, at + PIECE_CHARS))) return true;
  return false;
}

/** Arguments of all processes but the ones named. */
export function findInArguments(secrets: readonly Secret[], except: ReadonlySet<number>): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !except.has(Number(name)))
    .flatMap((pid) => {
      try {
        return findIn(`the arguments of process ${pid}`, readFileSync(`/proc/${pid}/cmdline`, 'latin1'), secrets);
      } catch {
        return []; // it has ended
      }
    });
}

/** Files below `folder` that somebody beside their owner may read. */
export function findInOpenFiles(folder: string, secrets: readonly Secret[]): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => (statSync(path).mode & 0o077) !== 0)
    .flatMap((path) => findIn(path, readFileSync(path, 'latin1'), secrets));
}
