/** Where the stub resolver is asked: UDP, and TCP for answers that are too long for it (RFC 7766), on one port. */

import type { ByteStream } from '../core/byte-stream.ts';
import { type Bytes, concatBytes, EMPTY } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { DatagramSocket, ListenAddress, Listener, Platform } from '../core/platform.ts';
import { dnsFrameLength, takeDnsFrame, toDnsFrame } from './dns-message.ts';

export interface DnsListenerOptions {
  readonly clock: Clock;
  readonly listenTcp: NonNullable<Platform['listenTcp']>;
  readonly bindUdp: NonNullable<Platform['bindUdp']>;
  readonly address: ListenAddress;
  readonly answer: (message: Bytes, by: 'udp' | 'tcp') => Promise<Bytes | undefined>;
}

/** Questions by UDP that are being answered; more are dropped, and asked again by who waits for an answer. */
const MAX_PENDING = 512;
const MAX_CONNECTIONS = 64;
/** A connection without a question for so long is closed (RFC 7766 §6.2.3 asks for seconds). */
const IDLE_MS = 10_000;
/** A longer question is no question for one name. */
const MAX_QUESTION_BYTES = 4_096;
/** The port that UDP was given may be taken for TCP. */
const ATTEMPTS = 8;

/** @throws SkeinError SKEIN_CONFIG */
export async function listenDns(options: DnsListenerOptions): Promise<Listener> {
  const connections = new Set<DnsConnection>();
  for (let attempt = 1; ; attempt++) {
    const udp = await listenUdp(options);
    try {
      const tcp = await options.listenTcp({ host: options.address.host, port: udp.port }, (stream) => {
        if (connections.size >= MAX_CONNECTIONS) {
          stream.reset(new SkeinError('SKEIN_LIMIT', 'Cannot take connection: too many ask'));
          return;
        }
        const connection = new DnsConnection(options, stream, () => connections.delete(connection));
        connections.add(connection);
      });
      return {
        address: udp.address,
        port: udp.port,
        close: async () => {
          udp.close();
          for (const connection of [...connections]) connection.close();
          await tcp.close();
        },
      };
    } catch (thrown) {
      udp.close();
      if (options.address.port !== 0 || attempt === ATTEMPTS) throw thrown;
    }
  }
}

async function listenUdp({ address, answer, bindUdp }: DnsListenerOptions): Promise<DatagramSocket> {
  let pending = 0;
  const socket: DatagramSocket = await bindUdp(address, (message, from) => {
    if (pending >= MAX_PENDING) return;
    pending++;
    answer(message, 'udp')
      .then((reply) => {
        if (reply !== undefined) socket.send(reply, from);
      })
      .finally(() => pending--)
      .catch(() => undefined); // `answer` makes answers of its failures
  });
  return socket;
}

/** Questions of one connection, each behind its length in two bytes, answered one after the other. */
class DnsConnection {
  readonly #options: DnsListenerOptions;
  readonly #stream: ByteStream;
  readonly #onClose: () => void;
  #received: Bytes = EMPTY;
  #isBusy = false;
  #isEnded = false;
  #isClosed = false;
  #idle: Timer;

  constructor(options: DnsListenerOptions, stream: ByteStream, onClose: () => void) {
    this.#options = options;
    this.#stream = stream;
    this.#onClose = onClose;
    this.#idle = this.#startIdle();
    stream.attach({
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => {
        this.#isEnded = true;
        this.#next();
      },
      onDrain: () => undefined,
      onReset: () => this.#finish(),
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#finish();
    this.#stream.reset(new SkeinError('SKEIN_CANCELLED', 'Cannot answer: the connection is closed'));
  }

  #startIdle(): Timer {
    return this.#options.clock.setTimer(IDLE_MS, () => this.close());
  }

  #onData(chunk: Bytes): void {
    this.#received = concatBytes(this.#received, chunk);
    // Credit for what is being answered returns with its answer: who only asks is read no further.
    this.#next();
  }

  #next(): void {
    if (this.#isBusy || this.#isClosed) return;
    if ((dnsFrameLength(this.#received) ?? 0) > MAX_QUESTION_BYTES) return this.close();
    const message = takeDnsFrame(this.#received)?.slice();
    if (message === undefined) {
      if (!this.#isEnded) return;
      this.#finish();
      return this.#stream.end();
    }
    this.#received = this.#received.subarray(2 + message.length);
    this.#isBusy = true;
    this.#idle.cancel();
    this.#options.answer(message, 'tcp').then(
      (reply) => this.#reply(reply, 2 + message.length),
      () => this.close(),
    );
  }

  #reply(reply: Bytes | undefined, consumedBytes: number): void {
    this.#isBusy = false;
    if (this.#isClosed) return;
    this.#idle = this.#startIdle();
    if (reply !== undefined) this.#stream.write(toDnsFrame(reply));
    this.#stream.consumed(consumedBytes);
    this.#next();
  }

  #finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#idle.cancel();
    this.#onClose();
  }
}
