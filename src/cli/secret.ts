/** Secrets on their way in: `@file` forms, and what must not reach a child process. */

import { resolve } from 'node:path';
import { decodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';
import type { CommandContext } from './context.ts';
import type { Environment } from './environment.ts';
import { requireFiles } from './profile.ts';

/** Reads a token given as itself or as `@file`. @throws SkeinError SKEIN_CONFIG */
export async function readSecret(
  { platform, process }: Pick<CommandContext, 'platform' | 'process'>,
  option: string,
  text: string,
): Promise<Redacted<string>> {
  if (!text.startsWith('@')) return new Redacted(text.trim());
  const path = resolve(process.workFolder, text.slice(1));
  const content = await requireFiles(platform).read(path);
  if (content === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot read ${option}: no file "${path}"`);
  const secret = decodeUtf8(content).trim();
  if (secret === '') throw new SkeinError('SKEIN_CONFIG', `Cannot read ${option}: the file "${path}" is empty`);
  return new Redacted(secret);
}

/** Tokens, and the address of a store, which may hold a password. */
const SECRET_VARIABLE = /^SKEIN_(?:(?:.*_)?TOKEN|STORE)$/i;

/** The environment without skein's own secrets: a child has no business with them. */
export function withoutSecrets(env: Environment): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !SECRET_VARIABLE.test(name)));
}
