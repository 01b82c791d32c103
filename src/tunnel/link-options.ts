/** What whoever makes a link says of it, and is told. */

import type { Clock } from '../core/clock.ts';
import type { SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { LinkPast } from './link-sleep.ts';
import type { TunnelOptions } from './options.ts';

export interface LinkOptions {
  readonly role: 'dialler' | 'acceptor';
  readonly clock: Clock;
  readonly random: Random;
  /** Called once; every circuit has been told before. */
  readonly onClose: (error: SkeinError) => void;
  /** Once in each silence: the other end owes an answer. Another link may be made beside this one, which may speak again. */
  readonly onSilent?: () => void;
  readonly limits?: Partial<TunnelOptions>;
  /** Somebody has dialled, and nobody knows who: until `trust` is called little is read. @default false */
  readonly isStranger?: boolean;
  /** This end goes on with a link that an earlier start of it has left at rest; circuit 0 waits for `renew`. */
  readonly past?: LinkPast;
  /** Something came for the session on circuit 0, which this end has forgotten. */
  readonly onForgotten?: () => void;
  /**
   * The acceptor has forgotten the session on circuit 0, and both ends know it: `control` is another circuit, for another
   * session, and the one before it ends right after this. Absent: such a link is over.
   */
  readonly onRenewed?: () => void;
}
