/** `--store nats://…`: the store that several hubs share, opened with a client that is installed only where it is needed. */

import { resolve } from 'node:path';
import { SkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';
import { isNatsAddress, parseNatsAddress } from '../hub/store/nats-address.ts';
import type { Store } from '../hub/store.ts';
import type { CommandContext } from './context.ts';
import { requireFiles } from './profile.ts';
import { readSecret } from './secret.ts';

export interface SharedStoreSetting {
  /** Holds a password or token, maybe. */
  readonly address: Redacted<string>;
  /** Absolute path of a `.creds` file. */
  readonly credentials: string | undefined;
}

/** @param text of `--store`; a file with it as `@file` @throws SkeinError SKEIN_CONFIG */
export async function readStoreSetting(
  context: CommandContext,
  text: string,
  credentials: string | undefined,
): Promise<'file' | 'memory' | SharedStoreSetting> {
  if (text === 'file' || text === 'memory') return text;
  const address = text.startsWith('@') ? await readSecret(context, '--store', text) : new Redacted(text);
  if (!isNatsAddress(address.reveal())) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot use --store: expected file, memory or nats://host:port');
  }
  parseNatsAddress(address.reveal());
  return { address, credentials };
}

/**
 * Waits for a server, however long it takes, and says so.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_CANCELLED when `signal` aborts
 */
export async function openSharedStore(
  { platform, process, logger }: CommandContext,
  { address, credentials }: SharedStoreSetting,
  signal: AbortSignal,
): Promise<Store> {
  const { NatsStore } = await import('../hub/store/nats.ts').catch((cause: unknown) => {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot use --store nats://…: the NATS client is not installed', {
      cause,
      details: { remedy: 'npm install @nats-io/transport-node@3 @nats-io/jetstream@3 @nats-io/kv@3' },
    });
  });
  const path = credentials === undefined ? undefined : resolve(process.workFolder, credentials);
  const content = path === undefined ? undefined : await requireFiles(platform).read(path);
  if (path !== undefined && content === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read --store-credentials: no file "${path}"`);
  }
  const { clock, random } = platform;
  return NatsStore.open({
    address,
    credentials: content === undefined ? undefined : new Redacted(content),
    clock,
    random,
    log: logger,
    signal,
  });
}
