/** Dormant channel: stands for the control stream of a member that this hub has forgotten in its sleep, until the member has opened another. */

import type { Channel } from '../control/channel.ts';
import type { Push, PushName } from '../control/messages.ts';
import { SkeinError } from '../core/errors.ts';

/** What the hub says to a member without being asked. */
export type MemberChannel = Pick<Channel, 'push' | 'close'>;

/** What waits for one member, at most: circuits, above all. */
const MAX_WAITING = 1_024;

export class DormantChannel implements MemberChannel {
  /** There is something to tell. */
  readonly #wake: () => void;
  readonly #close: (error: SkeinError) => void;
  #waiting: { readonly name: PushName; readonly push: Push<PushName> }[] = [];
  /** How far the audit log has come can wait until there is something else to say. */
  #audit: Push<'audit'> | undefined;

  constructor(wake: () => void, close: (error: SkeinError) => void) {
    this.#wake = wake;
    this.#close = close;
  }

  push<N extends PushName>(name: N, push: Push<N>): void {
    if (name === 'audit') {
      this.#audit = push as Push<'audit'>;
      return;
    }
    if (this.#waiting.length >= MAX_WAITING) {
      this.close(new SkeinError('SKEIN_LIMIT', 'Cannot use control channel: the other end does not open it'));
      return;
    }
    this.#waiting.push({ name, push });
    this.#wake();
  }

  close(error: SkeinError): void {
    this.#close(error);
  }

  /** Says what has waited. */
  release(channel: MemberChannel): void {
    for (const { name, push } of this.#waiting) channel.push(name, push);
    if (this.#audit !== undefined) channel.push('audit', this.#audit);
    this.#waiting = [];
  }
}
