/** `Wire`: a socket between two processes of the model, and what a bad network or a corrupt relay does to its messages. */

import type { Bytes } from '../../../src/core/bytes.ts';
import type { MessagePipe, MessagePipeEvents } from '../../../src/core/platform.ts';
import { MemoryLink, type MemoryLinkOptions } from '../../../src/testing/memory-pipe.ts';
import type { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import type { ModelProcess } from './process.ts';

/** What befalls one message with a record. `late`: it arrives behind those that follow within `ms`. */
export type Fault =
  | { readonly what: 'drop' | 'duplicate' }
  | { readonly what: 'flip' | 'truncate'; readonly at: number }
  | { readonly what: 'late'; readonly ms: number };

/** Kind of a link message that holds a record. */
const DATA = 2;

/** One end of a wire, in the hands of one process. */
export class WireEnd implements MessagePipe {
  readonly #pipe: MessagePipe;
  readonly #clock: VirtualClock;
  readonly #process: ModelProcess;
  #events: MessagePipeEvents | undefined;
  /** Nothing that comes from the other end is delivered, and nobody is told. */
  isSwallowing = false;
  readonly #faults: Fault[] = [];
  /** Told of every message that is given to the socket. */
  onSend: ((message: Bytes) => void) | undefined;
  /** Told of every message before it is delivered. */
  onDeliver: ((message: Bytes) => void) | undefined;

  constructor(pipe: MessagePipe, clock: VirtualClock, process: ModelProcess) {
    this.#pipe = pipe;
    this.#clock = clock;
    this.#process = process;
  }

  get remoteAddress(): string | undefined {
    return this.#pipe.remoteAddress;
  }

  get isProxied(): boolean {
    return this.#pipe.isProxied;
  }

  get outstandingBytes(): number {
    return this.#pipe.outstandingBytes;
  }

  attach(events: MessagePipeEvents): void {
    this.#events = events;
    this.#pipe.attach({
      onMessage: (message) => this.#onMessage(message),
      onProgress: () => this.#process.onSocket(() => events.onProgress()),
      onClose: (code, reason) => {
        if (!this.isSwallowing) this.#process.onSocket(() => events.onClose(code, reason));
      },
    });
  }

  send(message: Bytes): void {
    this.onSend?.(message);
    this.#pipe.send(message);
  }

  close(code: number, reason: string): void {
    this.#pipe.close(code, reason);
  }

  terminate(): void {
    this.#pipe.terminate();
  }

  /** Befalls the next message with a record that comes here, behind the faults that wait already. */
  plan(fault: Fault): void {
    this.#faults.push(fault);
  }

  heal(): void {
    this.isSwallowing = false;
    this.#faults.length = 0;
  }

  /** Hands its owner a message that nobody has sent. To be called in the owner's process. */
  inject(message: Bytes): void {
    this.#events?.onMessage(message);
  }

  #onMessage(message: Bytes): void {
    if (this.isSwallowing) return;
    const isData = ((message[0] as number) & 15) === DATA;
    const fault = isData ? this.#faults.shift() : undefined;
    switch (fault?.what) {
      case 'drop':
        return;
      case 'duplicate':
        this.#deliver(message.slice());
        return this.#deliver(message);
      case 'flip': {
        const at = LINK_HEADER_BYTES + (fault.at % (message.length - LINK_HEADER_BYTES));
        message[at] = (message[at] as number) ^ (1 << (fault.at & 7));
        return this.#deliver(message);
      }
      case 'truncate':
        return this.#deliver(message.subarray(0, 1 + (fault.at % (message.length - 1))));
      case 'late':
        this.#clock.setTimer(fault.ms, () => {
          if (!this.isSwallowing) this.#deliver(message);
        });
        return;
      default:
        this.#deliver(message);
    }
  }

  #deliver(message: Bytes): void {
    this.#process.onSocket(() => {
      this.onDeliver?.(message);
      this.#events?.onMessage(message);
    });
  }
}

/** Both ends, and what happens to the whole. */
export class Wire {
  readonly a: WireEnd;
  readonly b: WireEnd;
  readonly #link: MemoryLink;
  readonly #pipes: { readonly a: MessagePipe; readonly b: MessagePipe };

  constructor(clock: VirtualClock, a: ModelProcess, b: ModelProcess, options: MemoryLinkOptions) {
    const link = new MemoryLink(clock, options);
    this.#link = link;
    this.#pipes = { a: link.a, b: link.b };
    this.a = new WireEnd(link.a, clock, a);
    this.b = new WireEnd(link.b, clock, b);
  }

  /** The connection is lost, and both ends are told. */
  cut(): void {
    this.#link.cut();
  }

  /** Nothing leaves `end` any more, until `resume`; nobody is told. */
  stall(end: 'a' | 'b'): void {
    this.#link.stall(this.#pipes[end]);
  }

  heal(): void {
    for (const end of ['a', 'b'] as const) {
      this.#link.resume(this.#pipes[end]);
      this[end].heal();
    }
  }
}
