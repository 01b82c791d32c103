/** Peer dialler: a session with an instance, through the first hub that can bring it about. */

import type { Clock } from '../core/clock.ts';
import { type ErrorCode, SkeinError, toSkeinError } from '../core/errors.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import type { PathInfo } from '../tunnel/path.ts';
import type { Session } from '../tunnel/session.ts';
import type { HubConnection } from './hub-connection.ts';
import { openCircuitWithin } from './route.ts';

export interface PeerDiallerOptions {
  readonly clock: Clock;
  /** Hubs through which circuits are opened, the preferred one first. */
  readonly routes: () => readonly HubConnection[];
  /** Begins a handshake on `circuit` with `instance`, whose identity must be `id`. */
  readonly startSession: (circuit: Circuit, instance: string, path: PathInfo, id: string) => Session;
}

/** Time for a circuit by one hub, and then for a handshake, when there is another to try. */
const DIAL_MS = 1_500;
const MAX_DIAL_MS = 10_000;
/** Another hub changes nothing about who the peer is, nor about how many sessions there are. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['SKEIN_IDENTITY', 'SKEIN_LIMIT', 'SKEIN_REVOKED']);

export class PeerDialler {
  readonly #options: PeerDiallerOptions;

  constructor(options: PeerDiallerOptions) {
    this.#options = options;
  }

  /** An open session. @throws SkeinError why there is none by the last hub that was tried */
  async dial(instance: string, id: string): Promise<Session> {
    let failure = new SkeinError('SKEIN_HUB_UNREACHABLE', 'no hub is connected');
    const hubs = this.#options.routes();
    for (const [index, hub] of hubs.entries()) {
      try {
        return await this.#dialBy(hub, instance, id, index < hubs.length - 1);
      } catch (thrown) {
        failure = toSkeinError(thrown, 'SKEIN_PEER_UNREACHABLE');
        if (FINAL.has(failure.code)) break;
      }
    }
    throw failure;
  }

  async #dialBy(hub: HubConnection, instance: string, id: string, hasOther: boolean): Promise<Session> {
    const { clock, startSession } = this.#options;
    const limitMs = hasOther ? DIAL_MS : MAX_DIAL_MS;
    const circuit = await openCircuitWithin(clock, limitMs, hub, instance);
    const session = startSession(circuit, instance, { kind: 'relay', via: hub.url }, id);
    const giveUp = clock.setTimer(limitMs, () => {
      if (session.peer === undefined) {
        session.close(new SkeinError('SKEIN_PEER_UNREACHABLE', 'the peer did not answer in time'));
      }
    });
    try {
      await session.ready;
      return session;
    } finally {
      giveUp.cancel();
    }
  }
}
