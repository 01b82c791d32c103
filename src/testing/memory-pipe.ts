/** Two linked `MessagePipe` ends on a `Clock`: order kept, latency, bandwidth, a cut and a black hole on demand. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { MessagePipe, MessagePipeEvents } from '../core/platform.ts';

export interface MemoryLinkOptions {
  /** One-way delay in milliseconds. With 0 a message arrives at the end of the tick in which it was sent. @default 0 */
  readonly latencyMs?: number;
  /** Bytes that leave per second, each way. @default Infinity */
  readonly bytesPerSecond?: number;
  /** Bytes the "kernel" of a sender still takes when nothing leaves any more. @default 262_144 */
  readonly kernelBytes?: number;
  /** Bytes it takes, and reports as sent, while they wait for the bandwidth: the queue that nobody sees. @default 0 */
  readonly hiddenBytes?: number;
  /** What a message of so many bytes takes longer than the latency, in milliseconds; those behind it wait. @default 0 */
  readonly resentMs?: (bytes: number) => number;
  /** Told of each message when it leaves that end. */
  readonly onSent?: Readonly<Record<'a' | 'b', (bytes: number) => void>>;
}

/** A link and the ways to break it. */
export class MemoryLink {
  readonly a: MessagePipe;
  readonly b: MessagePipe;
  readonly #ends: readonly [MemoryPipe, MemoryPipe];

  constructor(clock: Clock, options: MemoryLinkOptions = {}) {
    const a = new MemoryPipe(clock, options, 'memory:b', options.onSent?.a);
    const b = new MemoryPipe(clock, options, 'memory:a', options.onSent?.b);
    a.join(b);
    b.join(a);
    this.#ends = [a, b];
    this.a = a;
    this.b = b;
  }

  /** Both ends lose the connection at once, and all that was under way with it. */
  cut(): void {
    for (const end of this.#ends) end.lose(1006, 'connection lost');
  }

  /** The connection dies in silence: nothing that `end` sends, or either end, arrives any more, and nobody is told. */
  blackhole(end?: MessagePipe): void {
    for (const each of end === undefined ? this.#ends : [this.#of(end)]) each.sever();
  }

  /** What a black hole has kept goes on its way. */
  heal(): void {
    for (const end of this.#ends) end.resume();
  }

  get isClosed(): boolean {
    return this.#ends.every((end) => end.isClosed);
  }

  /** From now on messages take so long, and so many bytes leave per second; those under way are not overtaken. */
  reshape(shape: Pick<MemoryLinkOptions, 'latencyMs' | 'bytesPerSecond'>): void {
    for (const end of this.#ends) end.reshape(shape);
  }

  /** Nothing leaves `end` until `resume`: the far side has stopped reading. */
  stall(end: MessagePipe): void {
    this.#of(end).stall();
  }

  resume(end: MessagePipe): void {
    this.#of(end).resume();
  }

  #of(end: MessagePipe): MemoryPipe {
    const found = this.#ends.find((other) => other === end);
    if (found === undefined) throw new TypeError('Cannot stall pipe: it belongs to another link');
    return found;
  }
}

interface Queued {
  /** undefined stands for the close message, which keeps its place behind the data. */
  readonly message: Bytes | undefined;
  readonly size: number;
  readonly checksum: number;
}

/** Memory of messages that are being delivered: who passes one on does so as long as it is there. */
const lent = new WeakSet<ArrayBufferLike>();
const AFTER_LENDING = 0xdd;

/** Enough that the rounding of sums does not let it overtake. */
const BEHIND_MS = 1e-6;

class MemoryPipe implements MessagePipe {
  readonly remoteAddress: string;
  readonly isProxied = false;
  readonly #clock: Clock;
  #latencyMs: number;
  #bytesPerSecond: number;
  /** When the last message arrives that is under way. */
  #arrivalMs = 0;
  readonly #kernelBytes: number;
  readonly #hiddenBytes: number;
  readonly #resentMs: MemoryLinkOptions['resentMs'];
  readonly #onSent: ((bytes: number) => void) | undefined;
  #peer: MemoryPipe | undefined;
  #events: MessagePipeEvents | undefined;
  /** Arrived before `attach`. */
  readonly #early: ((events: MessagePipeEvents) => void)[] = [];
  /** Not yet left for the network. */
  readonly #queue: Queued[] = [];
  #outstandingBytes = 0;
  /** Bytes of stalled messages that were reported as sent, because a kernel would have taken them. */
  #kernelTaken = 0;
  #reported = 0;
  #sending = false;
  #stalled = false;
  /** The network loses all that leaves. */
  #severed = false;
  #closing: { readonly code: number; readonly reason: string } | undefined;
  #closed = false;

  constructor(
    clock: Clock,
    options: MemoryLinkOptions,
    remoteAddress: string,
    onSent: ((bytes: number) => void) | undefined,
  ) {
    this.#clock = clock;
    this.#latencyMs = options.latencyMs ?? 0;
    this.#bytesPerSecond = options.bytesPerSecond ?? Number.POSITIVE_INFINITY;
    this.#kernelBytes = options.kernelBytes ?? 262_144;
    this.#hiddenBytes = options.hiddenBytes ?? 0;
    this.#resentMs = options.resentMs;
    this.#onSent = onSent;
    this.remoteAddress = remoteAddress;
  }

  reshape({ latencyMs, bytesPerSecond }: Pick<MemoryLinkOptions, 'latencyMs' | 'bytesPerSecond'>): void {
    this.#latencyMs = latencyMs ?? this.#latencyMs;
    this.#bytesPerSecond = bytesPerSecond ?? this.#bytesPerSecond;
  }

  join(peer: MemoryPipe): void {
    this.#peer = peer;
  }

  attach(events: MessagePipeEvents): void {
    if (this.#early.length === 0) {
      this.#events = events;
      return;
    }
    // Its owner is still being made.
    this.#clock.endOfTick(() => {
      this.#events = events;
      for (const deliver of this.#early.splice(0)) deliver(events);
    });
  }

  send(message: Bytes): void {
    if (this.#closed || this.#closing !== undefined) return;
    this.#outstandingBytes += message.length;
    const sent = lent.has(message.buffer) ? message.slice() : message;
    this.#queue.push({ message: sent, size: sent.length, checksum: checksum(sent) });
    if (this.#hiddenBytes > 0) this.#clock.endOfTick(this.#hide);
    this.#pump();
  }

  get outstandingBytes(): number {
    return this.#outstandingBytes;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  close(code: number, reason: string): void {
    if (this.#closed || this.#closing !== undefined) return;
    this.#closing = { code, reason };
    this.#queue.push({ message: undefined, size: 0, checksum: 0 });
    this.#pump();
  }

  terminate(): void {
    if (!this.#severed) this.#peer?.lose(1006, 'connection lost');
    this.lose(1006, 'terminated');
  }

  lose(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.length = 0;
    this.#outstandingBytes = 0;
    this.#clock.endOfTick(() => this.#tell((events) => events.onClose(code, reason)));
  }

  stall(): void {
    this.#stalled = true;
    this.#pump();
  }

  sever(): void {
    this.#severed = true;
    this.stall();
  }

  resume(): void {
    this.#severed = false;
    this.#stalled = false;
    this.#kernelTaken = 0;
    this.#pump();
  }

  #pump(): void {
    if (this.#sending || this.#queue.length === 0) return;
    this.#sending = true;
    const size = this.#queue[0]?.size ?? 0;
    if (this.#stalled) this.#clock.endOfTick(this.#fillKernel);
    else if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) this.#clock.endOfTick(this.#depart);
    else this.#clock.setTimer((size / this.#bytesPerSecond) * 1000, this.#depart);
  }

  /** A stalled link still takes what fits into the socket's buffer: the sender is told so, the receiver gets nothing. */
  readonly #fillKernel = (): void => {
    this.#sending = false;
    if (!this.#stalled) {
      this.#pump();
      return;
    }
    let progress = false;
    while (this.#reported < this.#queue.length) {
      const { size } = this.#queue[this.#reported] as Queued;
      if (this.#kernelTaken + size > this.#kernelBytes) break;
      this.#kernelTaken += size;
      this.#outstandingBytes -= size;
      this.#reported++;
      progress = true;
    }
    if (progress && !this.#closed) this.#events?.onProgress();
  };

  /** What the kernel has room for counts as sent. */
  readonly #hide = (): void => {
    const before = this.#outstandingBytes;
    let hiddenBytes = 0;
    for (const [at, { size }] of this.#queue.entries()) {
      hiddenBytes += size;
      if (hiddenBytes > this.#hiddenBytes) break;
      if (at < this.#reported) continue;
      this.#reported++;
      this.#outstandingBytes -= size;
    }
    if (!this.#closed && this.#outstandingBytes < before) this.#events?.onProgress();
  };

  readonly #depart = (): void => {
    this.#sending = false;
    if (this.#closed) return;
    if (this.#stalled) {
      this.#pump();
      return;
    }
    // Without a bandwidth the whole queue leaves at once, as a corked socket's would.
    let left = this.#bytesPerSecond === Number.POSITIVE_INFINITY ? this.#queue.length : 1;
    for (; left > 0 && !this.#closed; left--) {
      const item = this.#queue.shift();
      if (item === undefined) break;
      if (this.#reported > 0) this.#reported--;
      else this.#outstandingBytes -= item.size;
      this.#dispatch(item);
    }
    if (!this.#closed) this.#events?.onProgress();
    if (this.#hiddenBytes > 0) this.#hide();
    this.#pump();
  };

  #dispatch(item: Queued): void {
    const peer = this.#peer;
    const closing = this.#closing;
    if (item.message === undefined) {
      this.#later(() => peer?.lose(closing?.code ?? 1006, closing?.reason ?? ''));
      // The close handshake is over when the answer has come back.
      this.#later(() => this.#later(() => this.lose(closing?.code ?? 1006, closing?.reason ?? '')));
      return;
    }
    if (checksum(item.message) !== item.checksum) {
      throw new Error('Cannot send message: its buffer was written after send');
    }
    // The wire copies; without this the receiver would patch the sender's resend buffer.
    const copy = new Uint8Array(item.message);
    this.#onSent?.(item.size);
    this.#later(() => peer?.receive(copy), this.#resentMs?.(item.size));
  }

  receive(message: Bytes): void {
    if (this.#closed) return;
    this.#tell((events) => {
      lent.add(message.buffer);
      events.onMessage(message);
      lent.delete(message.buffer);
      message.fill(AFTER_LENDING); // a receiver that has kept it shall notice
    });
  }

  #later(run: () => void, extraMs = 0): void {
    const nowMs = this.#clock.monotonicMs();
    const latencyMs = this.#latencyMs + extraMs;
    const isBehind = nowMs + latencyMs < this.#arrivalMs;
    const afterMs = isBehind ? this.#arrivalMs - nowMs + BEHIND_MS : latencyMs;
    this.#arrivalMs = nowMs + afterMs;
    if (afterMs > 0) this.#clock.setTimer(afterMs, run);
    else run();
  }

  #tell(deliver: (events: MessagePipeEvents) => void): void {
    if (this.#events === undefined) this.#early.push(deliver);
    else deliver(this.#events);
  }
}

/** FNV-1a. */
function checksum(bytes: Bytes): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash;
}
