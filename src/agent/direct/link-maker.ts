/** Makes links of the WebSockets between peers, and paths of their circuit 0: one end proves there whose path it is, the other listens. */

import type { Bytes } from '../../core/bytes.ts';
import type { Clock } from '../../core/clock.ts';
import type { MessagePipe } from '../../core/platform.ts';
import type { Random } from '../../core/random.ts';
import type { TunnelObserver } from '../../telemetry/observe.ts';
import { Link } from '../../tunnel/link.ts';
import type { PathInfo } from '../../tunnel/path.ts';
import type { Session } from '../../tunnel/session.ts';
import { IncomingCircuit } from '../incoming-circuit.ts';
import type { DirectLimits } from './options.ts';

export interface LinkMakerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectLimits;
  readonly observer: TunnelObserver | undefined;
}

/** RFC 6455 §7.4.1. */
const NORMAL = 1000;

export class LinkMaker {
  readonly #options: LinkMakerOptions;

  constructor(options: LinkMakerOptions) {
    this.#options = options;
  }

  /** This end has dialled: it attaches the session. */
  offer(pipe: MessagePipe, session: Session, info: PathInfo): void {
    const link = this.#make('dialler', pipe, () => undefined);
    session.offerPath(link.control, endingWith(link, info));
  }

  /** The peer has dialled, and has 2 s to attach `session` and no other. `settle` is called when it has, or will not. */
  accept(pipe: MessagePipe, session: Session, info: PathInfo, settle: () => void): void {
    const { clock, limits } = this.#options;
    const link = this.#make('acceptor', pipe, settle);
    const leave = (): void => link.close(NORMAL, 'not attached');
    new IncomingCircuit(link.control, clock, limits.proofMs, {
      onHandshake: leave,
      onAttach: (sessionId: string, first: Bytes) => {
        if (sessionId === session.id && session.acceptPath(link.control, endingWith(link, info), first)) {
          link.trust();
          settle();
        } else leave();
      },
      onEnd: leave,
    });
  }

  #make(role: 'dialler' | 'acceptor', pipe: MessagePipe, onClose: () => void): Link {
    const { clock, random, limits, observer } = this.#options;
    const link: Link = new Link(pipe, {
      ...{ role, clock, random, limits: { pingAfterMs: limits.pingAfterMs, idlePingAfterMs: limits.pingAfterMs } },
      isStranger: role === 'acceptor',
      onClose: () => {
        observer?.forgetLink(link);
        onClose();
      },
    });
    observer?.watchLink(link);
    return link;
  }
}

/** The link is for this path alone; its last message may still have to go. */
function endingWith(link: Link, info: PathInfo): PathInfo {
  return {
    ...info,
    onEnd: () => queueMicrotask(() => link.close(NORMAL, 'path is over')),
  };
}
