/** Presence: who is connected to this hub. One instance has one link; of two, the later one is true. */

import type { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Link } from '../tunnel/link.ts';
import type { MemberChannel } from './dormant-channel.ts';
import type { Allowance } from './quotas.ts';

/** One connected sidecar. */
export interface Member {
  readonly instance: string;
  readonly id: SpiffeId;
  /** RFC 7638 thumbprint of the key that it has proven. */
  readonly key: string;
  /** Services that its SVID allows it to serve, as `name.namespace`. */
  readonly grants: ReadonlySet<string>;
  readonly link: Link;
  /** Where its link comes from; undefined when a proxy in front hides it. */
  readonly observedIp: string | undefined;
  /** Another one after the hub has slept. */
  channel: MemberChannel;
  /** What its identity may still ask for. */
  readonly allowance: Allowance;
  readonly connectedAtMs: number;
  /** Ends the link, and with it all that runs on it. */
  close(error: SkeinError): void;
}

export class Presence {
  readonly #members = new Map<string, Member>();

  get size(): number {
    return this.#members.size;
  }

  get(instance: string): Member | undefined {
    return this.#members.get(instance);
  }

  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  /** @returns the member that had this instance before, whose link is to be closed */
  join(member: Member): Member | undefined {
    const before = this.#members.get(member.instance);
    this.#members.set(member.instance, member);
    return before;
  }

  /** False when another link of this instance has taken its place. */
  leave(member: Member): boolean {
    return this.#members.get(member.instance) === member && this.#members.delete(member.instance);
  }
}
