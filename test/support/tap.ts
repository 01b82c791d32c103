/** A TCP relay that records both directions and can change one bit inside a WebSocket message on its way. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { FrameScanner, type SeenFrame } from './frame-scanner.ts';

export type Direction = 'up' | 'down';

export interface TappedFrame extends SeenFrame {
  readonly direction: Direction;
}

/** Chooses the byte of a frame's payload whose lowest bit is flipped; undefined leaves the frame alone. */
export type Tamper = (frame: TappedFrame) => number | undefined;

export class Tap {
  readonly address: string;
  /** Payload and framing of both directions as they came, in order of arrival. */
  readonly captured: Buffer[] = [];
  flippedBits = 0;
  tamper: Tamper | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { hostname, port } = new URL(`tcp://${target}`);
    server.on('connection', (downstream) => {
      const upstream = connect(Number(port), hostname);
      this.#join(downstream, upstream, 'up');
      this.#join(upstream, downstream, 'down');
    });
  }

  /** @param target `host:port` to relay to */
  static async listen(target: string): Promise<Tap> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Tap(server, target);
  }

  get connections(): number {
    return this.#sockets.size / 2;
  }

  get capturedBytes(): number {
    return this.captured.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Ends every connection now, without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(from: Socket, to: Socket, direction: Direction): void {
    this.#sockets.add(from);
    const flipper = new Flipper((frame) => this.tamper?.({ ...frame, direction }));
    from.on('data', (chunk) => {
      const passed = Buffer.from(chunk);
      this.flippedBits += flipper.pass(passed);
      this.captured.push(passed);
      if (!to.write(passed)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/** Flips bits of the frames of one direction; the mask is an exclusive or, so a bit flipped outside is a bit flipped inside. */
class Flipper {
  readonly #choose: (frame: SeenFrame) => number | undefined;
  readonly #scanner = new FrameScanner();
  #frame: SeenFrame = this.#scanner.frame;
  #flipAt: number | undefined;

  constructor(choose: (frame: SeenFrame) => number | undefined) {
    this.#choose = choose;
  }

  /** Reads on and flips in place. @returns how many bits were flipped */
  pass(chunk: Buffer): number {
    const scanner = this.#scanner;
    let flipped = 0;
    for (let i = 0; i < chunk.length; ) {
      const start = i;
      i = scanner.step(chunk, start);
      if (scanner.frame !== this.#frame) {
        this.#frame = scanner.frame;
        this.#flipAt = this.#choose(scanner.frame);
        continue;
      }
      const flipAt = this.#flipAt;
      const where = flipAt === undefined ? -1 : start + flipAt - (scanner.payloadAt - (i - start));
      if (where < start || where >= i) continue;
      chunk[where] = (chunk[where] as number) ^ 1;
      this.#flipAt = undefined;
      flipped++;
    }
    return flipped;
  }
}
