/**
 * Members with real keys in a process of their own, so that what they cost others is not what they cost the one that measures: `HostileOptions`
 * as JSON. Each line on stdin, `{"id":1,"attack":"refused","ms":2000}`, is one flood, answered by what came of it (`Flood`). `nowhere` is work of the
 * same kind for `share` of a processor that reaches nobody.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { encodeMessage } from '../../../src/control/codec.ts';
import { frameMessage } from '../../../src/control/framing.ts';
import { encodeControlOffer } from '../../../src/control/version.ts';
import { encodeRequestHead, MAX_BLOCK_BYTES } from '../../../src/http/head-codec.ts';
import { nodePlatform } from '../../../src/node.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { FrameWriter, readFrames } from '../../../src/tunnel/frame.ts';
import type { Link } from '../../../src/tunnel/link.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { frame, OPCODE, rawUpgrade } from '../../unit/runtime/raw-websocket.ts';
import { HELLO, makeLinkMessage, writeFairFrame, writeHostileFrame } from '../hostile-frames.ts';
import { createIdentity, HubClient } from '../hub-client.ts';
import { FrameLog, type RogueInitiator } from '../tunnel.ts';

export interface HostileOptions {
  readonly hub: string;
  /** Of each member; they attack in turn, so that one that is refused makes room for the next. */
  readonly tokens: readonly string[];
  /** Whom they attack. */
  readonly instance: string;
}

/**
 * `refused`: streams to a service that is not there, as many as are granted. `reset`: each is taken back as soon as it was opened. `beyond`: without
 * regard to what is granted. `frames`: of all kinds, few of which are as they should be. `control`: messages to the hub. `strangers`: garbage on links
 * to the hub, from nobody.
 */
export type Attack = 'refused' | 'reset' | 'beyond' | 'frames' | 'control' | 'strangers';

export interface Flood {
  /** Streams, frames or messages that were sent. */
  readonly tried: number;
  readonly sessions: number;
  /** Part of one processor that this took. */
  readonly share: number;
  readonly ends: Readonly<Record<string, number>>;
}

interface Command {
  readonly id: number;
  readonly attack: Attack | 'nowhere';
  readonly ms: number;
  readonly share?: number;
}

const CREDIT = 256 * 1024;
/** One stream, with its head and its end; without. */
const STREAM_BYTES = 160;
const BARE_STREAM_BYTES = 20;
const RECORD_BYTES = 32 * 1024;
/** As much as a hub hears of one. */
const STRANGER_BYTES = 60_000;
const STRANGERS = 16;
/** As many links as a hub takes of one address; on loopback it takes any number. */
const LINKS_PER_SECOND = 200;
const BURN_MS = 4;

const { hub, tokens, instance } = JSON.parse(process.argv[2] ?? '') as HostileOptions;
const platform = nodePlatform();
const members: HubClient[] = [];
for (const token of tokens) members.push(await HubClient.connect(platform, hub, await createIdentity(), token));
/** Turns so far. */
let turns = 0;

const block = new Uint8Array(MAX_BLOCK_BYTES);
const head = block.subarray(
  0,
  encodeRequestHead(block, {
    ...{ method: 'GET', scheme: 'http', authority: 'nobody.mesh', path: '/', upgrade: undefined, fields: [] },
    service: 'nobody.default:80',
  }),
);
const watch = encodeMessage([0, 1, 'watch', { services: ['plain.default', 'nobody.default'] }]);

const noHead = new Uint8Array(1);

/** Made in advance: what it costs to think of them is no attack. */
const random = new SeededRandom(4718);
const frames = Array.from({ length: 50 }, () => {
  const writer = new FrameWriter(new Uint8Array(RECORD_BYTES));
  const open: number[] = [];
  let count = 0;
  for (; writer.room > 256; count++) {
    if (random.integer(200) > 0) writeFairFrame(random, writer, open, { credit: count });
    else writeHostileFrame(random, writer, () => (open.at(-1) ?? 1) + 2 * random.integer(2));
  }
  return { plaintext: writer.bytes.slice(0, writer.length), count };
});
const messages = Array.from({ length: 50 }, () => {
  const parts = [frame({ opcode: OPCODE.binary, payload: HELLO })];
  for (let bytes = 0; bytes < STRANGER_BYTES; bytes += parts.at(-1)?.length ?? 0) {
    parts.push(frame({ opcode: OPCODE.binary, payload: makeLinkMessage(random, 100) }));
  }
  return { bytes: Buffer.concat(parts), count: parts.length };
});

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** One session of it, and what the other end allows in it. */
class Raid {
  readonly rogue: RogueInitiator;
  readonly log = new FrameLog();
  #records = 0;
  #streams = 0;
  #sent = 0;
  /** Of the control stream. */
  #credit = CREDIT;

  constructor(rogue: RogueInitiator) {
    this.rogue = rogue;
  }

  /** @returns how many were sent */
  sendStreams(attack: Attack): number {
    this.#read();
    const isBeyond = attack === 'beyond';
    const granted = isBeyond ? Number.POSITIVE_INFINITY : (this.log.maxStreams.at(-1) ?? 1_024) - this.#streams;
    const room = Math.min(RECORD_BYTES, this.rogue.sendableBytes);
    const count = Math.min(granted, Math.floor((room - 64) / (isBeyond ? BARE_STREAM_BYTES : STREAM_BYTES)));
    if (count <= 0) return 0;
    this.rogue.send((writer) => {
      this.#begin(writer);
      for (let i = 0; i < count; i++) {
        const id = 1 + 2 * this.#streams++;
        writer.open(id, attack === 'refused', STREAM_KIND.http, CREDIT, isBeyond ? noHead : head);
        if (attack === 'reset') writer.resetStream(id, 8, 0, false);
      }
    });
    return count;
  }

  sendFrames(): number {
    this.#read();
    const { plaintext, count } = random.pick(frames);
    if (this.rogue.sendableBytes < plaintext.length) return 0;
    this.rogue.sendPlaintext(plaintext);
    return count;
  }

  sendMessages(): number {
    this.#read();
    for (const { id, offset } of this.log.credits.splice(0))
      if (id === 1) this.#credit = Math.max(this.#credit, offset);
    const framed = frameMessage(watch);
    const room = Math.min(RECORD_BYTES, this.rogue.sendableBytes, this.#credit - this.#sent);
    const count = Math.floor((room - 64) / (framed.length + 16));
    if (count <= 0) return 0;
    this.rogue.send((writer) => {
      this.#begin(writer);
      if (this.#sent === 0) writer.open(1, false, STREAM_KIND.internal, 2 ** 40, encodeControlOffer());
      for (let i = 0; i < count; i++) writer.data(1, false, framed, 0, framed.length);
    });
    this.#sent += count * framed.length;
    return count;
  }

  #begin(writer: FrameWriter): void {
    if (this.#records > 0) writer.ack(this.#records);
    if (this.#streams === 0) writer.credit(0, 2 ** 40);
  }

  #read(): void {
    for (const plaintext of this.rogue.received.splice(0)) {
      this.#records++;
      readFrames(plaintext, this.log);
    }
    this.log.data.length = 0;
    this.log.resets.length = 0;
    this.log.acks.length = 0;
  }
}

async function flood(attack: Attack, ms: number): Promise<Omit<Flood, 'share'>> {
  const endMs = performance.now() + ms;
  const ends: Record<string, number> = {};
  const note = (end: string): void => {
    ends[end] = (ends[end] ?? 0) + 1;
  };
  let [tried, sessions] = [0, 0];
  while (performance.now() < endMs) {
    let link: Link | undefined;
    let rogue: RogueInitiator;
    const member = members[turns++ % members.length] as HubClient;
    try {
      if (attack === 'control') [link, rogue] = await HubClient.intrudeHub(platform, hub, member.identity);
      else rogue = await member.intrude(instance);
    } catch (thrown) {
      note(`refused: ${(thrown as { code?: string }).code}`);
      await wait(5);
      continue;
    }
    if (rogue.isReady) sessions++;
    const raid = new Raid(rogue);
    while (rogue.isReady && rogue.closedBy === undefined && performance.now() < endMs) {
      const sent =
        attack === 'control' ? raid.sendMessages() : attack === 'frames' ? raid.sendFrames() : raid.sendStreams(attack);
      tried += sent;
      await (sent === 0 ? wait(1) : nextTurn());
    }
    note(rogue.closedBy?.code ?? 'stayed');
    // What is over makes room for the next session.
    if (rogue.isReady && rogue.closedBy === undefined)
      rogue.send((writer) => writer.goAway(0, 0, false, new Uint8Array(0)));
    rogue.leave();
    link?.close(1000, 'done');
  }
  return { tried, sessions, ends };
}

/** Links of nobody, each with as much garbage as is heard of it. */
async function intrude(ms: number): Promise<Omit<Flood, 'share'>> {
  const endMs = performance.now() + ms;
  const port = Number(new URL(hub).port);
  let [tried, sessions] = [0, 0];
  const startedMs = performance.now();
  let begun = 0;
  const come = async (): Promise<void> => {
    for (let nowMs = startedMs; nowMs < endMs; nowMs = performance.now()) {
      const dueMs = startedMs + (1_000 * begun++) / LINKS_PER_SECOND;
      if (dueMs > nowMs) await wait(dueMs - nowMs);
      const { socket } = await rawUpgrade(port);
      const { bytes, count } = random.pick(messages);
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
      tried += count;
      sessions++;
    }
  };
  await Promise.all(Array.from({ length: STRANGERS }, come));
  return { tried, sessions, ends: {} };
}

/** The same work, which reaches nobody. */
async function burn(share: number, ms: number): Promise<Omit<Flood, 'share'>> {
  const startedMs = performance.now();
  const begun = process.cpuUsage();
  let tried = 0;
  for (let nowMs = startedMs; nowMs < startedMs + ms; nowMs = performance.now()) {
    const { user, system } = process.cpuUsage(begun);
    if ((user + system) / 1_000 >= share * (nowMs - startedMs)) {
      await wait(1);
      continue;
    }
    for (const endMs = nowMs + BURN_MS; performance.now() < endMs; ) {
      const writer = new FrameWriter(new Uint8Array(RECORD_BYTES));
      for (let id = 1; writer.room > STREAM_BYTES; id += 2, tried++)
        writer.open(id, true, STREAM_KIND.http, CREDIT, head);
      platform.crypto.sha256(writer.bytes);
    }
    await nextTurn();
  }
  return { tried, sessions: 0, ends: {} };
}

process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'hostile-member', addresses: {} })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, attack, ms, share = 0 } = JSON.parse(line) as Command;
  const begun = process.cpuUsage();
  const startedMs = performance.now();
  const done =
    attack === 'nowhere' ? await burn(share, ms) : attack === 'strangers' ? await intrude(ms) : await flood(attack, ms);
  const { user, system } = process.cpuUsage(begun);
  const used = (user + system) / 1_000 / (performance.now() - startedMs);
  process.stdout.write(`${JSON.stringify({ id, ...done, share: used })}\n`);
}
process.exit(0);
