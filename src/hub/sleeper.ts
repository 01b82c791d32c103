/** Sleeper: leaves with each WebSocket what the hub must know of it after a sleep, and finds it again (docs/decisions/0021). */

import type { Connection } from './connection.ts';
import type { Door } from './door.ts';
import type { Relay } from './relay.ts';
import {
  decodeRestingLink,
  encodeRestingLink,
  type RestingLeg,
  type RestingLink,
  type RestingPipe,
} from './resting-link.ts';

export class Sleeper {
  readonly #door: Door;
  readonly #relay: Relay;

  constructor(door: Door, relay: Relay) {
    this.#door = door;
    this.#relay = relay;
  }

  /** What must outlive the hub's memory; undefined while something is under way that would be lost. */
  rest(): readonly RestingPipe[] | undefined {
    const pairings = this.#door.isOpen ? this.#relay.rest() : undefined;
    if (pairings === undefined) return undefined;
    const connections = this.#door.connections();
    const numbers = new Map(connections.map(({ link }, number) => [link, number]));
    const legs = connections.map((): RestingLeg[] => []);
    for (const { caller, target, from, to } of pairings) {
      const [a, b] = [numbers.get(caller.link), numbers.get(target.link)];
      if (a === undefined || b === undefined) return undefined;
      legs[a]?.push({ circuit: from.id, toLink: b, toCircuit: to.id, isCaller: true });
      legs[b]?.push({ circuit: to.id, toLink: a, toCircuit: from.id, isCaller: false });
    }
    const resting: RestingPipe[] = [];
    for (const [number, connection] of connections.entries()) {
      const own = connection.rest();
      if (own === undefined) return undefined;
      const state = encodeRestingLink({ number, ...own, legs: legs[number] ?? [] });
      resting.push({ pipe: connection.pipe, state });
    }
    return resting;
  }

  /** Goes on with the links of the last rest, before anything is heard of them. */
  resume(pipes: readonly RestingPipe[]): void {
    const resumed = new Map<number, { readonly link: RestingLink; readonly connection: Connection }>();
    for (const { pipe, state } of pipes) {
      const link = decodeRestingLink(state);
      // It comes back on another one.
      if (link === undefined) pipe.terminate();
      else resumed.set(link.number, { link, connection: this.#door.resume(pipe, link) });
    }
    for (const { link, connection } of resumed.values()) {
      for (const { circuit, toLink, toCircuit, isCaller } of link.legs) {
        const other = resumed.get(toLink)?.connection;
        const [own, far] = [connection.circuit(circuit), other?.circuit(toCircuit)];
        if (own === undefined) continue;
        const [caller, target] = [connection.member, other?.member];
        if (far === undefined || caller === undefined || target === undefined) this.#relay.drop(own);
        else if (isCaller) this.#relay.resume(caller, target, own, far);
      }
    }
  }
}
