/** A cutting relay in a process of its own, as a test sees it: an address, and commands that are answered when they are done. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Cut, RelayCounts, RelayShape } from './cutting-relay.ts';
import { type Program, startHelper } from './process.ts';

const POLL_MS = 25;

export class Cutter {
  readonly program: Program;
  /** `ws://host:port`, to be given to a sidecar as its hub. */
  readonly url: string;

  private constructor(program: Program, address: string) {
    this.program = program;
    this.url = `ws://${address}`;
  }

  /** @param target `host:port` of the hub */
  static async start(target: string, shape: RelayShape = {}, name = 'cutting-relay'): Promise<Cutter> {
    const program = startHelper('cutting-relay', [target, JSON.stringify(shape)], { name, stdin: true });
    const { addresses } = await program.ready();
    return new Cutter(program, addresses.hub ?? '');
  }

  /** Cuts all connections that stand. */
  cut(cut: Cut): Promise<RelayCounts> {
    return this.program.command({ cut });
  }

  /** Resolves when there is something to cut. */
  async untilConnected(): Promise<void> {
    while ((await this.counts()).connections === 0) await wait(POLL_MS);
  }

  /** Passes nothing any more, in silence. */
  hold(): Promise<RelayCounts> {
    return this.program.command({ hold: true });
  }

  release(): Promise<RelayCounts> {
    return this.program.command({ hold: false });
  }

  /** Bytes take another time from now on. */
  reshape(shape: RelayShape): Promise<RelayCounts> {
    return this.program.command({ shape });
  }

  counts(): Promise<RelayCounts> {
    return this.program.command({});
  }
}
