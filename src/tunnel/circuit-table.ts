/** The circuits of one link by their ids, and the budget that the windows of relayed ones share (docs/protocol.md §2). */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { Circuit, type CircuitHost, type CircuitPast } from './circuit.ts';
import { protocolError } from './codes.ts';
import type { TunnelOptions } from './options.ts';
import { WindowBudget } from './window-budget.ts';

/** How far the ids have come. */
export interface CircuitIds {
  readonly nextId: number;
  readonly lastAdoptedId: number;
}

export interface CircuitTableOptions {
  readonly host: CircuitHost;
  readonly role: 'dialler' | 'acceptor';
  readonly clock: Clock;
  readonly limits: TunnelOptions;
  readonly past: (CircuitIds & { readonly circuits: readonly CircuitPast[] }) | undefined;
}

export class CircuitTable {
  readonly #options: CircuitTableOptions;
  readonly #circuits = new Map<number, Circuit>();
  #control: Circuit;
  #nextId: number;
  /** Ids of the other end only grow: one that was closed here can never mean another circuit later. */
  #lastAdoptedId: number;
  #maxCircuits: number;
  readonly #budget: WindowBudget;

  constructor(options: CircuitTableOptions) {
    const { past, role, limits } = options;
    this.#options = options;
    this.#nextId = past?.nextId ?? (role === 'dialler' ? 1 : 2);
    this.#lastAdoptedId = past?.lastAdoptedId ?? 0;
    this.#maxCircuits = limits.maxCircuits;
    this.#budget = new WindowBudget(limits.linkWindowBudgetBytes);
    for (const each of past?.circuits ?? []) {
      const circuit = this.#add(each.id, each);
      // That of circuit 0 has grown as its session's does, and not out of the budget.
      if (each.id === 0) continue;
      this.#pay(circuit, Math.max(0, circuit.window.windowBytes - limits.initialCircuitWindowBytes));
    }
    this.#control = this.#circuits.get(0) ?? this.#add(0);
  }

  /** Circuit 0. */
  get control(): Circuit {
    return this.#control;
  }

  get ids(): CircuitIds {
    return { nextId: this.#nextId, lastAdoptedId: this.#lastAdoptedId };
  }

  /** Those besides circuit 0. */
  get count(): number {
    return this.#circuits.size - 1;
  }

  /** Bytes received on circuits and not yet dealt with. */
  get unreadBytes(): number {
    let bytes = 0;
    for (const circuit of this.#circuits.values()) bytes += circuit.unreadBytes;
    return bytes;
  }

  get(id: number): Circuit | undefined {
    return this.#circuits.get(id);
  }

  all(): IterableIterator<Circuit> {
    return this.#circuits.values();
  }

  /** A circuit with the next id of this end. @throws SkeinError SKEIN_LIMIT */
  open(): Circuit {
    this.#checkRoom();
    const circuit = this.#add(this.#nextId);
    this.#nextId += 2;
    return circuit;
  }

  /** A circuit that the other end announced. @throws SkeinError SKEIN_PROTOCOL, SKEIN_LIMIT */
  adopt(id: number): Circuit {
    const parity = this.#options.role === 'dialler' ? 0 : 1;
    if (!Number.isSafeInteger(id) || id <= 0 || id > 0xffff_ffff || id % 2 !== parity) {
      throw protocolError('Cannot adopt circuit: the id is not one of the other end');
    }
    if (id <= this.#lastAdoptedId) throw protocolError('Cannot adopt circuit: its id is not above all before');
    this.#lastAdoptedId = id;
    this.#checkRoom();
    return this.#add(id);
  }

  /** Another circuit takes the place of circuit 0, and goes on where that has come to. @returns the one before */
  replaceControl(): Circuit {
    const before = this.#control;
    this.#control = this.#add(0, before.past);
    return before;
  }

  /** False when it is not there any more. */
  remove(circuit: Circuit, error: SkeinError): boolean {
    if (this.#circuits.get(circuit.id) !== circuit) return false;
    this.#circuits.delete(circuit.id);
    this.#budget.giveBack(circuit.paidBytes);
    circuit.end(error);
    return true;
  }

  endAll(error: SkeinError): void {
    const circuits = [...this.#circuits.values()];
    this.#circuits.clear();
    for (const circuit of circuits) circuit.end(error);
  }

  /** No more circuits than that from now on; those that are open stay. */
  limit(maxCircuits: number): void {
    this.#maxCircuits = Math.min(maxCircuits, this.#options.limits.maxCircuits);
  }

  /** Gives `circuit` its whole window at once; false where the budget does not hold another one. */
  widen(circuit: Circuit): boolean {
    const { window } = circuit;
    const { circuitWindowBytes } = this.#options.limits;
    const before = window.windowBytes;
    if (this.#budget.leftBytes < circuitWindowBytes - before) return false;
    window.widen(circuitWindowBytes);
    this.#pay(circuit, window.windowBytes - before);
    return true;
  }

  /** The offset that the next CREDIT of `circuit` announces. */
  grant(circuit: Circuit, rttMs: number): number {
    const { window } = circuit;
    const nowMs = this.#options.clock.monotonicMs();
    if (!circuit.isRelayed) return window.grant(nowMs, rttMs);
    const before = window.windowBytes;
    const mostBytes = Math.min(this.#options.limits.maxCircuitWindowBytes, this.#budget.most(before));
    const offset = window.grant(nowMs, rttMs, mostBytes);
    this.#pay(circuit, window.windowBytes - before);
    return offset;
  }

  #pay(circuit: Circuit, bytes: number): void {
    this.#budget.take(bytes);
    circuit.paidBytes += bytes;
  }

  #add(id: number, past?: CircuitPast): Circuit {
    const { host, role, limits, clock } = this.#options;
    const { initialCircuitWindowBytes: first, maxSessionWindowBytes: maxReceiveBytes } = limits;
    // Whoever was dialled does not know yet who speaks.
    const untrusted = id === 0 ? Math.min(first, limits.strangerWindowBytes) : first;
    const [receiveBytes, sendBytes] = role === 'dialler' ? [first, untrusted] : [untrusted, first];
    const windows = { receiveBytes, sendBytes, maxReceiveBytes };
    const circuit = new Circuit(id, host, windows, clock.monotonicMs(), past);
    this.#circuits.set(id, circuit);
    return circuit;
  }

  #checkRoom(): void {
    if (this.count < this.#maxCircuits) return;
    throw new SkeinError('SKEIN_LIMIT', `Cannot open circuit: the link already has ${this.#maxCircuits}`);
  }
}
