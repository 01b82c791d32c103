/** A sidecar whose paths a test chooses (programs/movable-sidecar.ts), as the test sees it. */
import { type Program, startHelper } from './process.ts';
import type { MovableOptions, MoveResult } from './programs/movable-sidecar.ts';

export class MovableSidecar {
  readonly program: Program;
  /** `host:port` of the HTTP listener. */
  readonly http: string;
  /** `host:port` of the listener for direct paths; empty: there is none. */
  readonly direct: string;
  readonly #addresses: Readonly<Record<string, string>>;
  #commands = 0;

  private constructor(program: Program, addresses: Readonly<Record<string, string>>) {
    this.program = program;
    this.#addresses = addresses;
    this.http = new URL(addresses.http ?? '').host;
    this.direct = addresses.direct ?? '';
  }

  static async start(name: string, options: MovableOptions): Promise<MovableSidecar> {
    const program = startHelper('movable-sidecar', [JSON.stringify(options)], { name, stdin: true });
    const { addresses } = await program.ready();
    return new MovableSidecar(program, addresses);
  }

  /** `host:port` of the TCP listener of a service. */
  tcp(service: string): string {
    return this.#addresses[`tcp:${service}`] ?? '';
  }

  /** Moves what this end sends to a path of that kind; resolves when it has moved. */
  prefer(kind: 'relay' | 'direct'): Promise<MoveResult> {
    return this.#ask({ prefer: kind });
  }

  /** Resolves when it has moved there by itself. */
  until(kind: 'relay' | 'direct'): Promise<MoveResult> {
    return this.#ask({ until: kind });
  }

  async #ask(command: object): Promise<MoveResult> {
    const id = ++this.#commands;
    this.program.write(`${JSON.stringify({ id, ...command })}\n`);
    const answer = new RegExp(`^\\{"id":${id},.*\\}$`, 'm');
    const printed = await this.program.waitForOutput(answer, 120_000);
    return JSON.parse(answer.exec(printed)?.[0] ?? '{}') as MoveResult;
  }
}
