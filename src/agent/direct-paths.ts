/** What a member does about paths around the relays, whoever finds them; and the one who finds none, and says so to peers that ask. */

import type { Registration } from '../control/messages.ts';
import { decodeSignal, encodeSignal, type NatKind } from '../control/signal.ts';
import type { Bytes } from '../core/bytes.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform, RawConnection } from '../core/platform.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { HandshakeRole } from '../tunnel/handshake.ts';
import type { Session } from '../tunnel/session.ts';
import type { NegotiationState } from './direct/negotiation.ts';
import type { DirectOptions } from './direct/options.ts';
import type { DirectKind } from './direct/search.ts';
import type { HubConnection } from './hub-connection.ts';

/** What is told to those who find direct paths. */
export interface DirectHooks {
  /** A session is open. */
  onSession(session: Session, role: HandshakeRole): void;
  onPathMessage(session: Session, message: Bytes): void;
  /** Its paths have come or gone, or another one is used. */
  onPaths(session: Session): void;
  /** It is over. */
  forget(session: Session): void;
}

/** What there is to say about the way to the peer of a session. */
export interface DirectStatus {
  readonly state: NegotiationState;
  /** How the direct path came about. */
  readonly kind: DirectKind | undefined;
  readonly attempts: number;
  /** Why there is none, in words. */
  readonly reason: string | undefined;
  readonly nat: NatKind;
  readonly peerNat: NatKind;
  /** Until the next attempt of this end, in milliseconds; undefined when none is planned. */
  readonly retryInMs: number | undefined;
}

export interface DirectPaths extends DirectHooks {
  /** What the hub may tell others of this member: the port of a listener that is not for this host alone, and its network. */
  readonly reach: Registration['reach'];
  /** There is a listener, bound to `host:port`; who connects there is brought to `enter`. */
  listensAt(host: string, port: number): void;
  enter(connection: RawConnection): void;
  /** Where the way to the peer of `session` stands; undefined when it is not a session with a member. */
  status(session: Session): DirectStatus | undefined;
  close(): void;
}

/** What those who find direct paths work with. */
export interface DirectEnvironment {
  readonly platform: Platform;
  readonly log: Logger;
  readonly observer: TunnelObserver | undefined;
  /** Hubs that are connected, the preferred one first. */
  readonly routes: () => readonly HubConnection[];
}

/** Checks the options before there is anything else of a member. @throws SkeinError SKEIN_CONFIG, RangeError */
export type PrepareDirect = (options: DirectOptions) => (environment: DirectEnvironment) => DirectPaths;

/** Of a member without direct paths: an offer is declined, so that its peer does not wait for an answer. */
export function createNoDirect({ log }: DirectEnvironment): DirectPaths {
  const status: DirectStatus = {
    ...{ state: 'off', kind: undefined, attempts: 0, retryInMs: undefined, nat: 'unknown', peerNat: 'unknown' },
    reason: 'direct paths are switched off here (--no-direct)',
  };
  const nothing = (): void => undefined;
  return {
    ...{ reach: undefined, listensAt: nothing, close: nothing },
    ...{ onSession: nothing, onPaths: nothing, forget: nothing },
    status: () => status,
    enter: (connection) => connection.close(),
    onPathMessage(session, message) {
      try {
        const signal = decodeSignal(message);
        if (signal.kind !== 'offer') return;
        session.sendPathMessage(encodeSignal({ kind: 'decline', to: signal.nonce, reason: 'off' }));
      } catch (thrown) {
        const { remoteInstance: instance } = session;
        log.log('debug', 'path-message-refused', { instance, error: toSkeinError(thrown).message });
      }
    },
  };
}
