/** The token of a sidecar's admin port: told to commands of the same user by a file in the profile's folder, one for each port. */

import { join } from 'node:path';
import { decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { toSkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';
import type { CommandContext } from './context.ts';
import { homeFolderOf, requireFiles } from './profile.ts';

type Context = Pick<CommandContext, 'platform' | 'process' | 'logger'>;

/** Named by whoever starts the sidecar and the command, where they share no folder. */
export function findNamedSidecarToken({ process }: Pick<Context, 'process'>): Redacted<string> | undefined {
  const named = process.env.SKEIN_SIDECAR_ADMIN_TOKEN?.trim() ?? '';
  return named === '' ? undefined : new Redacted(named);
}

/** @param address of the admin port, `host:port` */
export async function findSidecarToken(context: Context, address: string): Promise<Redacted<string> | undefined> {
  const content = await requireFiles(context.platform)
    .read(fileOf(context, address))
    .catch(() => undefined); // of another user: the sidecar will say no
  return (
    findNamedSidecarToken(context) ?? (content === undefined ? undefined : new Redacted(decodeUtf8(content).trim()))
  );
}

/** Leaves `token` where commands find it (0600). @returns takes it away again, unless another sidecar has the port by now */
export async function leaveSidecarToken(
  context: Context,
  address: string,
  token: Redacted<string>,
): Promise<() => Promise<void>> {
  const files = requireFiles(context.platform);
  const path = fileOf(context, address);
  const content = `${token.reveal()}\n`;
  try {
    await files.makeFolder(join(path, '..'));
    await files.replace(path, encodeUtf8(content));
  } catch (thrown) {
    context.logger.log('warn', 'admin-token-not-written', {
      error: toSkeinError(thrown).message,
      remedy: 'Set SKEIN_SIDECAR_ADMIN_TOKEN for the sidecar and for commands that ask it.',
    });
    return async () => undefined;
  }
  return async () => {
    try {
      const held = await files.read(path);
      if (held !== undefined && decodeUtf8(held) === content) await files.remove(path);
    } catch (thrown) {
      context.logger.log('debug', 'admin-token-not-removed', { error: toSkeinError(thrown).message });
    }
  };
}

function fileOf({ process }: Context, address: string): string {
  return join(homeFolderOf(process), 'sidecars', `${address.slice(address.lastIndexOf(':') + 1)}.token`);
}
