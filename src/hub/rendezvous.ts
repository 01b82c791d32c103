/** Rendezvous: tells two members that share a circuit where this hub sees each of them, so that neither can send the other elsewhere. */

import type { CallAnswer } from '../control/messages.ts';
import { SkeinError } from '../core/errors.ts';
import { classifyIp, formatIpEndpoint, parseIpEndpoint } from '../core/ip.ts';
import type { Random } from '../core/random.ts';
import type { RelayMember as Member } from './relay.ts';

/** Members named to one that asks who else can tell it its address. */
const MAX_REFLECTORS = 4;
/** Members kept for that. */
const MAX_KNOWN = 1_024;

/** What a member says of its own network. */
export interface Reachability {
  /** Port of a listener that is open to others. */
  readonly port?: number | undefined;
  /** Label of the private network it is in. */
  readonly network?: string | undefined;
}

export class Rendezvous {
  readonly #random: Random;
  /** Members with a listener on a public address. */
  readonly #reflectors = new Map<Member, string>();
  readonly #networks = new WeakMap<Member, string>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** What `member` has said last counts. */
  note(member: Member, { port, network }: Reachability): void {
    if (network === undefined) this.#networks.delete(member);
    else this.#networks.set(member, network);
    const ip = member.observedIp;
    const isOpen = port !== undefined && ip !== undefined && classifyIp(ip) === 'public';
    if (isOpen && (this.#reflectors.has(member) || this.#reflectors.size < MAX_KNOWN)) {
      this.#reflectors.set(member, formatIpEndpoint({ ip, port }));
    } else this.#reflectors.delete(member);
  }

  forget(member: Member): void {
    this.#reflectors.delete(member);
  }

  /** @throws SkeinError SKEIN_REFUSED when the two have no circuit: addresses are for those who speak with each other */
  introduce(caller: Member, target: Member | undefined, haveCircuit: boolean): CallAnswer<'introduce'> {
    if (target === undefined || !haveCircuit) {
      throw new SkeinError('SKEIN_REFUSED', 'Cannot introduce: there is no circuit with that instance here');
    }
    const network = this.#networks.get(caller);
    return {
      ...(caller.observedIp === undefined ? {} : { own: caller.observedIp }),
      ...(target.observedIp === undefined ? {} : { peer: target.observedIp }),
      isSameNetwork: network !== undefined && network === this.#networks.get(target),
      reflectors: this.#pick(caller, target),
    };
  }

  /** Other members on distinct addresses, from a place in the list that chance names. */
  #pick(caller: Member, target: Member): string[] {
    const known = [...this.#reflectors];
    const picked = new Map<string, string>();
    const start = Math.floor(this.#random.ratio() * known.length);
    for (let i = 0; i < known.length && picked.size < MAX_REFLECTORS; i++) {
      const [member, address] = known[(start + i) % known.length] as [Member, string];
      const ip = parseIpEndpoint(address)?.ip ?? '';
      if (member !== caller && member !== target && ip !== caller.observedIp) picked.set(ip, address);
    }
    return [...picked.values()];
  }
}
