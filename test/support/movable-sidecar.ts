/** A sidecar whose paths a test chooses (programs/movable-sidecar.ts), as the test sees it. */
import { Cutter } from './cutter.ts';
import type { RelayShape } from './cutting-relay.ts';
import type { TestMesh } from './mesh.ts';
import { type Program, startHelper } from './process.ts';
import type { MovableOptions, MoveResult } from './programs/movable-sidecar.ts';

/** A path may be watched for long before it is trusted, on a busy machine longer. */
const MOVE_WITHIN_MS = 120_000;

export class MovableSidecar {
  readonly program: Program;
  /** `host:port` of the HTTP listener. */
  readonly http: string;
  /** `host:port` of the listener for direct paths; empty: there is none. */
  readonly direct: string;
  readonly #addresses: Readonly<Record<string, string>>;

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
    return this.program.command({ prefer: kind }, MOVE_WITHIN_MS);
  }

  /** Resolves when it has moved there by itself. */
  until(kind: 'relay' | 'direct'): Promise<MoveResult> {
    return this.program.command({ until: kind }, MOVE_WITHIN_MS);
  }
}

/** Two ways from `a` to `b`, whose lengths a test chooses. */
export interface TwoWays {
  readonly a: MovableSidecar;
  readonly b: MovableSidecar;
  readonly relay: Cutter;
  readonly direct: Cutter;
}

/** `b` exposes services, `lines` among them, for which `a` has a TCP listener. The mesh ends them all. */
export async function startTwoWays(
  mesh: TestMesh,
  expose: NonNullable<MovableOptions['expose']>,
  shapes: { readonly relay: RelayShape; readonly direct: RelayShape },
): Promise<TwoWays> {
  const keep = <T extends { readonly program: Program }>(started: T): T => {
    mesh.programs.push(started.program);
    return started;
  };
  const token = await mesh.createToken(expose.map(({ service }) => service));
  const b = keep(await MovableSidecar.start('sidecar b', { hub: mesh.hubUrl, token, expose }));
  const relay = keep(await Cutter.start(mesh.hubAddress, shapes.relay, 'way to the hub'));
  const direct = keep(await Cutter.start(b.direct, shapes.direct, 'way to the peer'));
  const a = keep(
    await MovableSidecar.start('sidecar a', {
      ...{ hub: relay.url, token: await mesh.createToken(['client']), tcp: 'lines' },
      dialThrough: Number(new URL(direct.url).port),
    }),
  );
  return { a, b, relay, direct };
}
