/** What NAT makes of connections from here, as hubs see them, and which direct paths that permits. */

import { DIRECT_LIMITS } from '../agent/direct/options.ts';
import { Hole, toReflector } from '../agent/direct/puncher.ts';
import { toSkeinError } from '../core/errors.ts';
import { classifyIp, parseIpEndpoint } from '../core/ip.ts';
import type { Platform } from '../core/platform.ts';
import type { Step } from './reachability.ts';

/** As hubs see a connection from one port of this machine. */
export interface NatReport {
  /** `ip:port`; null when nobody could tell. */
  readonly observedAddress: string | null;
  readonly localPort: number | null;
  /** Does the NAT show the port as it is? */
  readonly keepsPort: boolean | null;
  readonly kind: 'none' | 'endpoint-independent' | 'endpoint-dependent' | 'unknown';
  /** Can connections be opened from both ends at once? */
  readonly canPunch: boolean;
  readonly steps: readonly Step[];
}

const UNSEEN = { observedAddress: null, localPort: null, keepsPort: null, kind: 'unknown', canPunch: false } as const;
const NEAR: Step = { name: 'nat', state: 'ok', detail: 'none that hubs on this machine could see' };
const FORWARD =
  'Forward a port to --direct-listen and name it with --direct-advertise; or leave it: relays carry everything.';

/** Asks the first two of `hubs`, which were reached. Never throws. */
export async function checkNat(
  { directSockets: sockets, clock, random, name }: Platform,
  hubs: readonly string[],
): Promise<NatReport> {
  if (sockets === undefined) {
    const detail = `${name} opens no connections from a port of its choice`;
    return { ...UNSEEN, steps: [{ name: 'punching', state: 'skipped', detail }] };
  }
  if (hubs.length === 0) {
    return {
      ...UNSEEN,
      steps: [{ name: 'address', state: 'skipped', detail: 'no hub can say from where this machine is seen' }],
    };
  }
  const hole = new Hole({ sockets, clock, random, limits: DIRECT_LIMITS });
  try {
    const { address, nat: kind } = await hole.probe(hubs.map(toReflector));
    const keepsPort = address.endsWith(`:${hole.localPort}`);
    const canPunch = kind !== 'endpoint-dependent';
    const isHere = classifyIp(parseIpEndpoint(address)?.ip ?? '') === 'loopback';
    const seen = `seen as ${address}, from port ${hole.localPort}`;
    return {
      ...{ observedAddress: address, localPort: hole.localPort, keepsPort, kind, canPunch },
      steps: [{ name: 'address', state: 'ok', detail: seen }, isHere ? NEAR : toStep(kind, keepsPort)],
    };
  } catch (thrown) {
    const { code, message } = toSkeinError(thrown);
    const state = code === 'SKEIN_CONFIG' ? 'skipped' : 'warning';
    const remedy = state === 'warning' ? { remedy: FORWARD } : {};
    return { ...UNSEEN, steps: [{ name: 'address', state, detail: message, ...remedy }] };
  } finally {
    hole.close();
  }
}

function toStep(kind: NatReport['kind'], keepsPort: boolean): Step {
  const port = keepsPort ? 'keeps the port' : 'changes the port';
  switch (kind) {
    case 'none':
      return { name: 'nat', state: 'ok', detail: 'none: with --direct-listen every peer can connect' };
    case 'endpoint-independent':
      return {
        name: 'nat',
        state: 'ok',
        detail: `${port}, and shows the same one to everybody: a hole can be punched`,
      };
    case 'endpoint-dependent':
      return {
        ...{ name: 'nat', state: 'warning', remedy: FORWARD },
        detail: `${port}, and shows another one to each: no hole can be punched; peers with a public listener are reached`,
      };
    case 'unknown':
      return keepsPort
        ? {
            name: 'nat',
            state: 'ok',
            detail: `${port}: a hole can be punched, most likely; two hubs could tell for sure`,
          }
        : { name: 'nat', state: 'ok', detail: `${port}: whether a hole can be punched, two hubs could tell` };
  }
}
