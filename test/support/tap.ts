/** A TCP relay that records both directions and can change one bit inside a WebSocket message on its way. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export type Direction = 'up' | 'down';

export interface SeenFrame {
  readonly direction: Direction;
  readonly opcode: number;
  readonly payloadBytes: number;
}

/** Chooses the byte of a frame's payload whose lowest bit is flipped; undefined leaves the frame alone. */
export type Tamper = (frame: SeenFrame) => number | undefined;

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
    const scanner = new FrameScanner((frame) => this.tamper?.({ ...frame, direction }));
    from.on('data', (chunk) => {
      const passed = Buffer.from(chunk);
      this.flippedBits += scanner.pass(passed);
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

/**
 * Follows one direction of a connection: an HTTP head, then WebSocket frames (RFC 6455 §5.2), cut anywhere. A masked
 * payload needs no unmasking: the mask is an exclusive or, so a bit flipped outside is a bit flipped inside.
 */
class FrameScanner {
  readonly #choose: (frame: Omit<SeenFrame, 'direction'>) => number | undefined;
  #inHead = true;
  #headTail = '';
  #header: number[] = [];
  #left = 0;
  #at = 0;
  #flipAt: number | undefined;

  constructor(choose: (frame: Omit<SeenFrame, 'direction'>) => number | undefined) {
    this.#choose = choose;
  }

  /** Reads on and flips in place. @returns how many bits were flipped */
  pass(chunk: Buffer): number {
    let flipped = 0;
    for (let i = 0; i < chunk.length; ) {
      if (this.#inHead) {
        this.#headTail = (this.#headTail + String.fromCharCode(chunk[i++] as number)).slice(-4);
        this.#inHead = this.#headTail !== '\r\n\r\n';
      } else if (this.#left > 0) {
        const length = Math.min(this.#left, chunk.length - i);
        const flipAt = this.#flipAt;
        if (flipAt !== undefined && flipAt >= this.#at && flipAt < this.#at + length) {
          const where = i + flipAt - this.#at;
          chunk[where] = (chunk[where] as number) ^ 1;
          flipped++;
        }
        this.#at += length;
        this.#left -= length;
        i += length;
      } else {
        this.#header.push(chunk[i++] as number);
        this.#readHeader();
      }
    }
    return flipped;
  }

  #readHeader(): void {
    const bytes = this.#header;
    const second = bytes[1];
    if (second === undefined) return;
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (bytes.length < 2 + lengthBytes + (second & 0x80 ? 4 : 0)) return;
    const extended = bytes.slice(2, 2 + lengthBytes).reduce((sum, byte) => sum * 256 + byte, 0);
    this.#left = lengthBytes > 0 ? extended : short;
    this.#at = 0;
    this.#flipAt = this.#choose({ opcode: (bytes[0] as number) & 0x0f, payloadBytes: this.#left });
    this.#header = [];
  }
}
