/** A line between a member and a hub whose traffic somebody in the middle bends as he likes: what whoever runs a relay can do. */
import type { Bytes } from '../../src/core/bytes.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { DialOptions, MessagePipe, MessagePipeEvents, Platform } from '../../src/core/platform.ts';
import type { SeededRandom } from '../../src/testing/seeded-random.ts';
import { LINK_HEADER_BYTES } from '../../src/tunnel/circuit.ts';
import { DATA, HELLO, newMessage, readCircuit, readKind } from '../../src/tunnel/link-message.ts';
import { RECORD_DATA, RECORD_HEADER_BYTES, readRecordType, writeRecordHeader } from '../../src/tunnel/record.ts';

/** What becomes of one message on its way to a member. */
export type Bend = (message: Bytes, deliver: (message: Bytes) => void) => void;

export interface BendTools {
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** Counts one thing done. */
  readonly note: () => void;
  /** Records that were carried here before the switch was thrown, in their order. */
  readonly past: readonly Bytes[];
}

export const RECORD_BENDS = ['flip', 'truncate', 'reorder', 'duplicate', 'delay', 'inject', 'replay', 'swap'] as const;
export type RecordBend = (typeof RECORD_BENDS)[number];

/** One record in so many is bent, so that others come through, and each attack meets a session that works. */
const ONE_IN = 3;
/** Longer than anybody waits who knows of another way. */
const DELAY_MS = 8_000;

/** A record of a session between members, which no relay can open. */
export function isSealed(message: Bytes): boolean {
  return (
    readKind(message) === DATA &&
    readCircuit(message) !== 0 &&
    readRecordType(message, LINK_HEADER_BYTES) === RECORD_DATA
  );
}

const MAKERS: Readonly<Record<RecordBend, (tools: BendTools) => Bend>> = {
  flip: (tools) =>
    sometimes(tools, (message, deliver) => {
      const at = LINK_HEADER_BYTES + Math.floor(tools.random.ratio() * (message.length - LINK_HEADER_BYTES));
      message[at] = (message[at] as number) ^ (1 << Math.floor(tools.random.ratio() * 8));
      deliver(message);
    }),
  truncate: (tools) =>
    sometimes(tools, (message, deliver) => {
      const most = message.length - LINK_HEADER_BYTES - 1;
      deliver(message.subarray(0, message.length - 1 - Math.floor(tools.random.ratio() * most)));
    }),
  duplicate: (tools) =>
    sometimes(tools, (message, deliver) => {
      deliver(message.slice());
      deliver(message);
    }),
  delay: (tools) =>
    sometimes(tools, (message, deliver) => {
      tools.clock.setTimer(DELAY_MS, () => deliver(message));
    }),
  inject: (tools) =>
    sometimes(tools, (message, deliver) => {
      const forged = newMessage(DATA, readCircuit(message), RECORD_HEADER_BYTES + 64);
      forged.set(tools.random.bytes(64), LINK_HEADER_BYTES + RECORD_HEADER_BYTES);
      writeRecordHeader(forged, LINK_HEADER_BYTES, RECORD_DATA, 0, Math.floor(tools.random.ratio() * 64));
      deliver(forged);
      deliver(message);
    }),
  reorder: (tools) => {
    const held = new Map<number, Bytes>();
    return (message, deliver) => {
      const circuit = readCircuit(message);
      const before = held.get(circuit);
      if (!isSealed(message)) return deliver(message);
      if (before === undefined) {
        held.set(circuit, message);
        return;
      }
      held.delete(circuit);
      tools.note();
      deliver(message);
      deliver(before);
    };
  },
  /** On a circuit that is new to it this hub says what was said on an older one. */
  replay: (tools) => {
    const seen = new Map<number, number>();
    return (message, deliver) => {
      const circuit = readCircuit(message);
      if (readKind(message) !== DATA || circuit === 0) return deliver(message);
      const at = seen.get(circuit) ?? 0;
      seen.set(circuit, at + 1);
      const old = tools.past[at % Math.max(1, tools.past.length)];
      if (old === undefined) return deliver(message);
      tools.note();
      const again = newMessage(DATA, circuit, old.length - LINK_HEADER_BYTES);
      again.set(old.subarray(LINK_HEADER_BYTES), LINK_HEADER_BYTES);
      deliver(again);
    };
  },
  /** What is for one session comes in another one. */
  swap: (tools) => {
    const circuits = new Set<number>();
    const swap = sometimes(tools, (message, deliver) => {
      const circuit = readCircuit(message);
      const other = [...circuits]
        .filter((each) => each !== circuit)
        .at(Math.floor(tools.random.ratio() * -circuits.size));
      const swapped = newMessage(DATA, other ?? circuit, message.length - LINK_HEADER_BYTES);
      swapped.set(message.subarray(LINK_HEADER_BYTES), LINK_HEADER_BYTES);
      deliver(swapped);
    });
    return (message, deliver) => {
      if (isSealed(message)) circuits.add(readCircuit(message));
      if (circuits.size > 1) swap(message, deliver);
      else deliver(message);
    };
  },
};

function sometimes(tools: BendTools, bend: Bend): Bend {
  let count = 0;
  return (message, deliver) => {
    if (!isSealed(message) || ++count % ONE_IN !== 0) return deliver(message);
    tools.note();
    bend(message, deliver);
  };
}

/** Claims less than the hub has said: an older version, or features that were not. */
export function downgradeHello(message: Bytes, deliver: (message: Bytes) => void, note: () => void): void {
  if (readKind(message) !== HELLO) return deliver(message);
  const bent = message.slice();
  // Behind the version stand the feature bits: others than the hub has sent, and both ends would take them for agreed.
  bent[LINK_HEADER_BYTES + 1] = 1;
  note();
  deliver(bent);
}

/** All lines to one hub, as long as it is in these hands. */
export class BentLine {
  /** Things done since the switch was thrown. */
  done = 0;
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #pipes = new Set<BentPipe>();
  #make: ((tools: BendTools) => Bend) | undefined;

  constructor(clock: Clock, random: SeededRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  /** The platform of a member whose dials to `url` end here. */
  platform(base: Platform, url: string): Platform {
    return {
      ...base,
      dialWebSocket: async (to: string, options?: DialOptions) => {
        const pipe = await base.dialWebSocket(to, options);
        if (to !== url) return pipe;
        const bent = new BentPipe(pipe);
        this.#pipes.add(bent);
        this.#throw(bent);
        return bent;
      },
    };
  }

  throw(bend: RecordBend): void {
    this.throwWith(MAKERS[bend]);
  }

  throwWith(make: (tools: BendTools) => Bend): void {
    this.#make = make;
    for (const pipe of this.#pipes) this.#throw(pipe);
  }

  #throw(pipe: BentPipe): void {
    const note = (): void => {
      this.done++;
    };
    const past = pipe.past.slice();
    pipe.bend = this.#make?.({ clock: this.#clock, random: this.#random, note, past });
  }
}

/** How many records of the past are kept for each line. */
const MAX_PAST = 512;

class BentPipe implements MessagePipe {
  bend: Bend | undefined;
  readonly past: Bytes[] = [];
  readonly #inner: MessagePipe;

  constructor(inner: MessagePipe) {
    this.#inner = inner;
  }

  get outstandingBytes(): number {
    return this.#inner.outstandingBytes;
  }

  get remoteAddress(): string | undefined {
    return this.#inner.remoteAddress;
  }

  get isProxied(): boolean {
    return this.#inner.isProxied;
  }

  attach(events: MessagePipeEvents): void {
    let isOver = false;
    const deliver = (message: Bytes): void => {
      if (!isOver) events.onMessage(message);
    };
    this.#inner.attach({
      onMessage: (message) => {
        if (this.bend !== undefined) return this.bend(message.slice(), deliver); // it may keep it for a while
        if (readKind(message) === DATA && readCircuit(message) !== 0 && this.past.length < MAX_PAST)
          this.past.push(message.slice());
        deliver(message);
      },
      onProgress: () => events.onProgress(),
      onClose: (code, reason) => {
        isOver = true;
        events.onClose(code, reason);
      },
    });
  }

  send(message: Bytes): void {
    this.#inner.send(message);
  }

  close(code: number, reason: string): void {
    this.#inner.close(code, reason);
  }

  terminate(): void {
    this.#inner.terminate();
  }
}
