/** `skein hub`: the place where sidecars meet. */

import { join } from 'node:path';
import { encodeUtf8 } from '../../core/bytes.ts';
import { toDialable } from '../../core/loopback.ts';
import type { Hub } from '../../hub/hub.ts';
import type { HubOptions } from '../../hub/options.ts';
import type { HubMembership } from '../../hub/standing.ts';
import type { Store } from '../../hub/store.ts';
import { HUB_URL_FILE } from '../admin.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { HUB_OPTIONS, type HubSettings, readHubSettings } from '../hub-settings.ts';
import { openProfile, requireFiles } from '../profile.ts';
import { type Addresses, formatReady } from '../ready.ts';
import { openSharedStore } from '../shared-store.ts';
import { Stopping } from '../stopping.ts';

export const hub: CommandSpec = {
  name: 'hub',
  summary: 'run the hub: the one place that every sidecar can reach',
  description: 'It introduces sidecars to each other and relays their encrypted sessions, which it cannot read.',
  options: HUB_OPTIONS,
  examples: [
    ['skein hub', 'on this machine only, state in ./hub'],
    ['skein hub --listen 0.0.0.0:7000 --data /var/lib/skein', 'for other machines'],
    ['skein hub --url wss://hub.example.com', 'behind a TLS proxy that forwards to 127.0.0.1:7000'],
    [
      'skein hub --roles relay,signal --hub wss://hub.example.com --token @hub.token',
      'one that holds no key of the issuer; skein token create --hub-role relay,signal makes its token',
    ],
    ['skein hub --data /var/lib/skein --workers auto', 'on every processor of its machine'],
    ['skein hub --store nats://10.0.0.5:4222', 'one of several hubs of a mesh; docs/operations.md tells how'],
  ],
  async run(context) {
    const settings = await readHubSettings(context);
    // Taken over before the start: a signal in the middle of it must not leave half a store.
    const stopping = new Stopping(context);
    try {
      const store = await openStore(context, settings.store, stopping);
      if (store === undefined) return EXIT.done;
      const membership = await joinIssuers(context, settings);
      const options = {
        listen: settings.listen,
        ...(settings.data === undefined ? {} : { dataFolder: settings.data }),
        store,
        ...(settings.url === undefined ? {} : { url: settings.url }),
        ...(settings.region === undefined ? {} : { region: settings.region }),
        ...(settings.trustDomain === undefined ? {} : { trustDomain: settings.trustDomain }),
        trust: settings.trust,
        federation: settings.federation,
        roles: settings.roles,
        starterPolicy: settings.starterPolicy,
        dangerouslyPermissive: settings.permissive,
        trustsProxy: settings.trustsProxy,
        pageOrigins: settings.pageOrigins,
        limits: { ...settings.quotas, keys: settings.keys },
        reseal: settings.reseal,
        ...(settings.adminToken === undefined ? {} : { adminToken: settings.adminToken.reveal() }),
        log: context.logger,
      };
      if (settings.workers > 1) return await serveWorkers(context, settings, options, stopping);
      const { createHub } = await import('../../hub/hub.ts');
      const running = await createHub(context.platform, options, { membership });
      await announce(context, settings, running);
      await stopping.asked;
      await running.drain();
      return EXIT.done;
    } finally {
      stopping.release();
    }
  },
};

async function serveWorkers(
  context: CommandContext,
  settings: HubSettings,
  options: HubOptions,
  stopping: Stopping,
): Promise<number> {
  const { startHubWorkers } = await import('../workers.ts');
  const { signal } = stopping;
  const pool = await startHubWorkers(context, settings.workers, options, signal).catch((thrown) => {
    if (signal.aborted) return undefined;
    throw thrown;
  });
  if (pool === undefined) return EXIT.done;
  await announce(context, settings, pool);
  const error = await Promise.race([stopping.asked, pool.closed]);
  if (error !== undefined) throw error;
  await pool.drain();
  return EXIT.done;
}

/** Of a hub that does not issue: what those that do have made of it. */
async function joinIssuers(
  { platform, logger: log }: CommandContext,
  { roles, hubs, token, data }: HubSettings,
): Promise<HubMembership | undefined> {
  if (roles.includes('issuer') || hubs.length === 0) return undefined;
  const { joinAsHub } = await import('../../agent/hub-membership.ts');
  return joinAsHub(platform, { hub: hubs, token: token?.reveal(), data, roles, log });
}

/** @returns undefined when the command was told to stop while it waited for the store */
async function openStore(
  context: CommandContext,
  setting: HubSettings['store'],
  { signal }: Stopping,
): Promise<'file' | 'memory' | Store | undefined> {
  if (typeof setting === 'string') return setting;
  try {
    return await openSharedStore(context, setting, signal);
  } catch (thrown) {
    if (signal.aborted) return undefined;
    throw thrown;
  }
}

/** Tells commands on this machine where the hub is, and then everybody that it is ready. */
async function announce(context: CommandContext, settings: HubSettings, running: Pick<Hub, 'address'>): Promise<void> {
  const { platform, process, logger } = context;
  const local = toLocalUrl(running.address);
  if (settings.data !== undefined) {
    await requireFiles(platform).replace(join(settings.data, HUB_URL_FILE), encodeUtf8(`${local}\n`));
    try {
      await openProfile(platform, process).update({ hub: local, hubData: settings.data });
    } catch (error) {
      // A service account may have no home; the profile only saves typing.
      logger.log('debug', 'profile-not-written', { error });
    }
  }
  const addresses: Addresses = { hub: local, ...(settings.url === undefined ? {} : { url: settings.url }) };
  await context.print(formatReady(context, 'hub', addresses));
  const elsewhere = settings.url ?? local;
  context.say(
    `\nLet a service in (the token works once):\n  skein token create --service api\n  skein sidecar --hub ${elsewhere} --token … --expose api=http://127.0.0.1:3000\nOr, on this machine, without a token:\n  skein expose api 3000\n`,
  );
}

/** The bound address as a URL that works on this machine. */
function toLocalUrl(address: string): string {
  return `ws://${toDialable(address)}`;
}
