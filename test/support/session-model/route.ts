/** `Route`: one way between two processes of the model — a link, or a relay between two — as a circuit at each end. */

import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import type { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import type { Circuit } from '../../../src/tunnel/circuit.ts';
import { Link } from '../../../src/tunnel/link.ts';
import type { TunnelOptions } from '../../../src/tunnel/options.ts';
import { relayCircuits } from '../../../src/tunnel/relay.ts';
import type { ModelProcess } from './process.ts';
import { Wire, type WireEnd } from './wire.ts';

/** `near` opened the route. */
export type RouteEnd = 'near' | 'far';

export interface RoutePlan {
  readonly kind: 'relay' | 'direct';
  /** One way and in all. */
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
}

export interface RouteOptions extends RoutePlan {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly near: ModelProcess;
  readonly far: ModelProcess;
  /** The relay runs here. */
  readonly hub: ModelProcess;
  readonly limits: Partial<TunnelOptions>;
}

export class Route {
  readonly name: string;
  readonly kind: 'relay' | 'direct';
  readonly circuits: Readonly<Record<RouteEnd, Circuit>>;
  /** The sockets of the two ends. */
  readonly sockets: Readonly<Record<RouteEnd, WireEnd>>;
  readonly #wires: readonly Wire[];
  readonly #links: readonly Link[];

  constructor(options: RouteOptions) {
    const { name, kind, clock, near, far, hub, limits, bytesPerSecond } = options;
    this.name = name;
    this.kind = kind;
    const random = new SeededRandom(1);
    const link = (pipe: WireEnd, role: 'dialler' | 'acceptor', process: ModelProcess): Link =>
      new Link(pipe, { role, clock: process, random, limits, onClose: () => undefined });
    if (kind === 'direct') {
      const wire = new Wire(clock, near, far, { latencyMs: options.latencyMs, bytesPerSecond });
      const [a, b] = [link(wire.a, 'dialler', near), link(wire.b, 'acceptor', far)];
      this.#wires = [wire];
      this.#links = [a, b];
      this.circuits = { near: a.control, far: b.control };
      this.sockets = { near: wire.a, far: wire.b };
    } else {
      const latencyMs = options.latencyMs / 2;
      const [first, second] = [near, far].map((end) => new Wire(clock, end, hub, { latencyMs, bytesPerSecond })) as [
        Wire,
        Wire,
      ];
      const [nearUp, nearDown] = [link(first.a, 'dialler', near), link(first.b, 'acceptor', hub)];
      const [farUp, farDown] = [link(second.a, 'dialler', far), link(second.b, 'acceptor', hub)];
      this.#wires = [first, second];
      this.#links = [nearUp, nearDown, farUp, farDown];
      const opened = nearUp.openCircuit();
      const announced = farDown.openCircuit();
      relayCircuits(nearDown.adoptCircuit(opened.id), announced, () => undefined);
      this.circuits = { near: opened, far: farUp.adoptCircuit(announced.id) };
      this.sockets = { near: first.a, far: second.a };
    }
  }

  get isClosed(): boolean {
    return this.circuits.near.isClosed || this.circuits.far.isClosed;
  }

  /** The connection is lost; with a relay it is the relay's process that dies. */
  cut(): void {
    for (const wire of this.#wires) wire.cut();
  }

  /** Nothing from `end` arrives any more, and nobody is told. `isSwallowed`: what was sent meanwhile is lost, not late. */
  silence(end: RouteEnd, isSwallowed: boolean): void {
    if (isSwallowed) this.sockets[end === 'near' ? 'far' : 'near'].isSwallowing = true;
    else
      this.#wires[end === 'near' ? 0 : this.#wires.length - 1]?.stall(
        this.kind === 'relay' || end === 'near' ? 'a' : 'b',
      );
  }

  heal(): void {
    for (const wire of this.#wires) wire.heal();
  }

  /** Ends all its links in peace. */
  close(): void {
    for (const link of this.#links) link.close(1000, 'the model is done');
  }
}
