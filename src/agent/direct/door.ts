/** Door: who connects to the listener has 2 s to show by a ticket whose peer it is, or to ask from where it is seen; nothing else is done here. */

import { REFLECTION_PATH, type Reflections } from '../../control/reflection.ts';
import type { Clock } from '../../core/clock.ts';
import { parseIpEndpoint, toOrigin } from '../../core/ip.ts';
import type { MessagePipe, RawConnection } from '../../core/platform.ts';
import { Rates } from '../../core/rates.ts';
import type { Session } from '../../tunnel/session.ts';
import type { DirectLimits } from './options.ts';
import type { Tickets } from './tickets.ts';

export interface DoorOptions {
  readonly clock: Clock;
  readonly limits: DirectLimits;
  readonly tickets: Tickets;
  readonly reflections: Reflections;
  /** The peer of `session` is at the other end, as far as its ticket shows. `settle` is called when that is proven, or not. */
  readonly onGuest: (pipe: MessagePipe, session: Session, settle: () => void) => void;
}

export interface DoorStats {
  /** Refused before a byte was read. */
  refused: number;
  /** Without a ticket that is good, or gone before. */
  turnedAway: number;
  admitted: number;
  reflected: number;
}

export class Door {
  readonly stats: DoorStats = { refused: 0, turnedAway: 0, admitted: 0, reflected: 0 };
  readonly #options: DoorOptions;
  readonly #rates: Rates;
  #halfOpen = 0;
  #asking = 0;
  #isClosed = false;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#rates = new Rates(options.limits.handshakes);
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  enter(connection: RawConnection): void {
    const { clock, limits, tickets, onGuest } = this.#options;
    const origin = toOrigin(parseIpEndpoint(connection.remoteAddress)?.ip ?? '');
    const isFull = this.#halfOpen >= limits.maxHalfOpen;
    if (this.#isClosed || isFull || !this.#rates.take(origin, clock.monotonicMs())) {
      this.stats.refused++;
      connection.close();
      return;
    }
    this.#halfOpen++;
    let settle = once(() => this.#halfOpen--);
    const expire = (): void => {
      connection.close();
      settle();
    };
    let timer = clock.setTimer(limits.proofMs, expire);
    let session: Session | undefined;
    let hasAsked = false;
    const answer = (path: string): string | undefined => {
      if (path !== REFLECTION_PATH || this.#asking >= limits.maxAsking) return undefined;
      const body = this.#options.reflections.answer(connection.remoteAddress);
      if (body === undefined) return undefined;
      settle();
      timer.cancel();
      // It may ask again, and is closed at the latest after a while.
      hasAsked = true;
      this.#asking++;
      this.stats.reflected++;
      settle = once(() => this.#asking--);
      timer = clock.setTimer(limits.askingMs, expire);
      return body;
    };
    const admit = (ticket: string): boolean => {
      session = tickets.find(ticket);
      return session !== undefined;
    };
    connection.accept({ admit, answer }).then(
      (pipe) => {
        if (session === undefined || this.#isClosed) return connection.close();
        this.stats.admitted++;
        onGuest(pipe, session, () => {
          timer.cancel();
          settle();
        });
      },
      () => {
        timer.cancel();
        settle();
        if (!hasAsked) this.stats.turnedAway++;
      },
    );
  }

  close(): void {
    this.#isClosed = true;
  }
}

function once(run: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    run();
  };
}
