/**
 * Follows one direction of a WebSocket connection, however it is cut into chunks: an HTTP head, then frames
 * (RFC 6455 §5.2). A masked payload needs no unmasking to be followed.
 */

export interface SeenFrame {
  readonly opcode: number;
  readonly payloadBytes: number;
}

export class FrameScanner {
  /** The frame whose payload is passing or has passed last. */
  frame: SeenFrame = { opcode: 0, payloadBytes: 0 };
  /** Bytes of its payload that have passed. */
  payloadAt = 0;
  #isInHead = true;
  #headTail = '';
  #header: number[] = [];

  get payloadLeft(): number {
    return this.frame.payloadBytes - this.payloadAt;
  }

  /** A frame of somebody else may stand here. */
  get isBetweenFrames(): boolean {
    return !this.#isInHead && this.#header.length === 0 && this.payloadLeft === 0;
  }

  /**
   * Reads on from `at` to where the head, the header of a frame or its payload ends, or the chunk.
   * @returns the offset behind what was read
   */
  step(chunk: Uint8Array, at: number): number {
    if (this.#isInHead) {
      this.#headTail = (this.#headTail + String.fromCharCode(chunk[at] as number)).slice(-4);
      this.#isInHead = this.#headTail !== '\r\n\r\n';
      return at + 1;
    }
    if (this.payloadLeft === 0) {
      this.#header.push(chunk[at] as number);
      this.#readHeader();
      return at + 1;
    }
    const length = Math.min(this.payloadLeft, chunk.length - at);
    this.payloadAt += length;
    return at + length;
  }

  #readHeader(): void {
    const bytes = this.#header;
    const second = bytes[1];
    if (second === undefined) return;
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (bytes.length < 2 + lengthBytes + (second & 0x80 ? 4 : 0)) return;
    const extended = bytes.slice(2, 2 + lengthBytes).reduce((sum, byte) => sum * 256 + byte, 0);
    this.frame = { opcode: (bytes[0] as number) & 0x0f, payloadBytes: lengthBytes > 0 ? extended : short };
    this.payloadAt = 0;
    this.#header = [];
  }
}
