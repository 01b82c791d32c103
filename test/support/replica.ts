/** A member that serves `api` on a virtual network: it answers as it is told, counts what it was asked, and can be killed. */
import type { Agent } from '../../src/agent/agent.ts';
import type { AgentOptions } from '../../src/agent/options.ts';
import { SkeinError } from '../../src/core/errors.ts';
import type { MemoryLink } from '../../src/testing/memory-pipe.ts';
import { RecordingHandler, type SeenRequest } from './http.ts';
import type { VirtualMesh } from './virtual-mesh.ts';

export class Replica {
  /** Each request that its application was given. */
  readonly seen: { readonly id: string; readonly atMs: number }[] = [];
  delayMs = 1;
  /** What it answers, by the number of requests before: a status, or nothing but the end of the connection. */
  answer: (count: number) => number | 'reset' = () => 200;
  readonly #mesh: VirtualMesh;
  #links: readonly MemoryLink[] = [];
  #isDead = false;

  private constructor(mesh: VirtualMesh) {
    this.#mesh = mesh;
  }

  static async start(mesh: VirtualMesh, options: Partial<AgentOptions> = {}): Promise<Replica> {
    const replica = new Replica(mesh);
    const before = mesh.network.links.length;
    const { agent } = await mesh.createAgent({ token: await mesh.token('api'), ...options }, replica.#platform());
    await mesh.run(agent.start());
    await replica.#serve(agent);
    replica.#links = mesh.network.links.slice(before);
    return replica;
  }

  /** The process ends without a word: its connections are closed by the kernel, and nobody dials any more. */
  kill(): void {
    this.#isDead = true;
    for (const link of this.#links) link.cut();
  }

  /** The machine is gone: nothing is told to anybody. */
  vanish(): void {
    this.#isDead = true;
    for (const link of this.#links) link.blackhole();
  }

  #platform() {
    const { platform } = this.#mesh;
    return {
      ...platform,
      dialWebSocket: (...dial: Parameters<typeof platform.dialWebSocket>) => {
        if (!this.#isDead) return platform.dialWebSocket(...dial);
        return Promise.reject(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot reach hub: the process has ended'));
      },
    };
  }

  async #serve(agent: Agent): Promise<void> {
    const handler = new RecordingHandler((request) => this.#take(request));
    await this.#mesh.serve(agent, 'api.default', { protocol: 'http', handler });
  }

  #take(request: SeenRequest): void {
    if (this.#isDead) return;
    const { clock } = this.#mesh;
    const answer = this.answer(this.seen.length);
    this.seen.push({ id: request.head.path.slice(1), atMs: clock.monotonicMs() });
    clock.setTimer(this.delayMs, () => {
      if (this.#isDead || request.aborted !== undefined) return;
      if (answer !== 'reset') request.answer(answer, 'ok');
      else
        request.reply.onAbort(
          new SkeinError('SKEIN_STREAM_RESET', 'Cannot go on: the application ended the connection'),
        );
    });
  }
}
