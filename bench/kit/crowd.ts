/** A hub and ten thousand members that have joined it and have nothing to do: P8, P9 and P10. */
import { setTimeout as wait } from 'node:timers/promises';
import { TestMesh } from '../../test/support/mesh.ts';
import type { Program } from '../../test/support/process.ts';
import type { Bench } from './bench.ts';
import type { Spread } from './members-process.ts';
import { PATIENCE_MS, startMembers } from './membership.ts';
import { residentBytes } from './processes.ts';

/** What the last ones to join set going is over by then, but for the audit log: of that members hear in turns, as ever. */
const SETTLE_MS = 35_000;

/** Told of a change. */
export interface Told extends Spread {
  readonly members: number;
  /** The most bytes that one of them was sent until it was told, whatever for. */
  readonly maxBytes: number;
}

/** What a hub has sent to all of them. */
export interface Traffic {
  readonly bytes: number;
  readonly messages: number;
}

export class Crowd {
  readonly mesh: TestMesh;
  /** Of the hub, before the first member. */
  readonly emptyBytes: number;
  readonly program: Program;
  #isHealthy = true;

  private constructor(mesh: TestMesh, emptyBytes: number, program: Program) {
    this.mesh = mesh;
    this.emptyBytes = emptyBytes;
    this.program = program;
  }

  /** Member N has the service `s-N.default`. */
  static async start(bench: Bench): Promise<Crowd> {
    const mesh = await TestMesh.start();
    bench.keep(() => mesh.close());
    const emptyBytes = residentBytes(mesh.hub.pid);
    const program = await startMembers(mesh, 'crowd');
    bench.keep(async () => void (await program.kill()));
    bench.progress(`${bench.members} sidecars join`);
    const { seconds } = await program.command<{ seconds: number }>({ do: 'join', count: bench.members }, PATIENCE_MS);
    bench.progress(`they have joined within ${seconds.toFixed(0)} s`);
    bench.contenders.push({
      name: 'skein hub',
      description: `one hub process; ${bench.members} members with a service each in one other process`,
      configuration: ['skein hub --listen 127.0.0.1:0 --data DIR'],
      address: mesh.hubAddress,
      pids: () => ({ hub: [mesh.hub.pid] }),
    });
    return new Crowd(mesh, emptyBytes, program);
  }

  /** Until nothing goes on any more. */
  async settle(bench: Bench): Promise<void> {
    bench.progress('waiting until nothing goes on any more');
    await wait(SETTLE_MS);
  }

  /** What they were sent since it was asked last. */
  count(): Promise<Traffic> {
    return this.program.command({ do: 'count' }, PATIENCE_MS);
  }

  /** The first `count` watch `service` from now on. */
  watch(count: number, service: string): Promise<object> {
    return this.program.command({ do: 'watch', count, service }, PATIENCE_MS);
  }

  /** Resolves when all are whole members again. The spread is from `sinceMs` (epoch) on. */
  returned(sinceMs: number): Promise<Spread> {
    return this.program.command({ do: 'returned', sinceMs }, PATIENCE_MS);
  }

  /** Changes the health of what member `of` serves; resolves when the first `watchers` have been told, and a moment later. */
  change(of: number, watchers: number): Promise<Told> {
    this.#isHealthy = !this.#isHealthy;
    return this.program.command({ do: 'change', of, watchers, healthy: this.#isHealthy }, PATIENCE_MS);
  }
}
