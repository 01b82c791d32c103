/** From settings to a running sidecar: its membership, its start, and the signals that end it. */

import { SkeinError } from '../core/errors.ts';
import type { SidecarOptions } from '../sidecar/options.ts';
import type { Sidecar } from '../sidecar/sidecar.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-code.ts';
import { findMembership, rememberMembership } from './membership.ts';
import { formatReady } from './ready.ts';
import type { SidecarSettings } from './sidecar-settings.ts';
import { findNamedSidecarToken, leaveSidecarToken } from './sidecar-token.ts';
import { describeUse } from './sidecar-use.ts';
import { Stopping, type StopSignal } from './stopping.ts';
import { startWorkers } from './workers.ts';

export interface SidecarWish {
  readonly settings: SidecarSettings;
  /** Keep the identity in the profile when no folder is named. */
  readonly remember: boolean;
  /** The exit code of a start that a signal ended. @default 0, because somebody asked for it */
  readonly givenUp?: (by: StopSignal) => number;
}

/**
 * Starts a sidecar, lets `use` have it, and drains it when `use` is done.
 * @param use resolves with the exit code
 * @throws SkeinError what `createSidecar` says
 */
export async function withSidecar(
  context: CommandContext,
  { settings, remember, givenUp = () => EXIT.done }: SidecarWish,
  use: (sidecar: Sidecar, stopping: Stopping) => Promise<number>,
): Promise<number> {
  const stopping = new Stopping(context);
  try {
    const sidecar = await startSidecar(context, { settings, remember }, stopping.signal);
    stopping.farewell = () => sidecar.close();
    const { admin } = sidecar.addresses;
    const takeTokenAway = admin && (await leaveSidecarToken(context, new URL(admin).host, sidecar.adminToken));
    let code: number;
    try {
      code = await use(sidecar, stopping);
    } finally {
      await sidecar.drain();
      if (takeTokenAway) await takeTokenAway();
    }
    return stopping.isUrgent ? EXIT.other : code;
  } catch (thrown) {
    if (stopping.by !== undefined) return givenUp(stopping.by);
    throw thrown;
  } finally {
    stopping.release();
  }
}

/**
 * Starts a sidecar and keeps it until a signal asks it to leave.
 * @throws SkeinError what `createSidecar` says, and the refusal of a hub that ends the sidecar later
 */
export function serveSidecar(context: CommandContext, wish: SidecarWish): Promise<number> {
  return withSidecar(context, wish, async (sidecar, stopping) => {
    await context.print(formatReady(context, 'sidecar', sidecar.addresses));
    context.say(describeUse(sidecar, wish.settings));
    await Promise.race([stopping.asked, endOf(sidecar)]);
    return EXIT.done;
  });
}

async function startSidecar(
  context: CommandContext,
  { settings, remember }: SidecarWish,
  signal: AbortSignal,
): Promise<Sidecar> {
  const services = [...new Set(settings.expose.map(({ service }) => service))];
  const membership = await findMembership(context, { ...settings, services, remember });
  const options = {
    hub: membership.hubs,
    token: membership.token,
    hubThumbprint: membership.knownHub.thumbprints,
    trustDomain: membership.knownHub.trustDomain,
    data: membership.data,
    // The folder that nobody has named is that of all commands of this person.
    sharesData: settings.data === undefined,
    namespace: settings.namespace,
    region: settings.region,
    zone: settings.zone,
    expose: settings.expose,
    listen: {
      http: settings.listenHttp,
      dns: settings.listenDns,
      tcp: settings.listenTcp.map(({ service, port, listen }) => ({ service, port, address: listen })),
    },
    direct: settings.direct,
    admin: settings.admin,
    adminToken: findNamedSidecarToken(context),
    log: context.logger,
    signal,
  };
  const sidecar = await (settings.workers > 1
    ? startWorkers(context, settings.workers, options)
    : startOne(context, options));
  if (membership.data !== undefined) await rememberMembership(context, membership);
  return sidecar;
}

async function startOne({ platform }: CommandContext, options: SidecarOptions): Promise<Sidecar> {
  const { createSidecar } = await import('../sidecar/sidecar.ts');
  return createSidecar(platform, options);
}

/** A sidecar ends by itself only when a hub has refused it for good. */
async function endOf(sidecar: Sidecar): Promise<never> {
  const error = await sidecar.closed;
  throw error ?? new SkeinError('SKEIN_INTERNAL', 'Cannot go on: the sidecar has ended');
}
