/** What a question runs in: the origin, peers that are present, skein in its variants; each ends with the question. */
import type { Peer } from '../peers/peer.ts';
import type { Contender, Running } from './contender.ts';
import { measureRounds, type Round } from './measure.ts';
import { Origin } from './origin.ts';
import { type SkeinVariant, startSkeinPair } from './skein.ts';

export interface BenchOptions {
  /** How often all contenders are run in turn. */
  readonly pairs: number;
  /** Of one run. */
  readonly seconds: number;
  /** How many a crowd is. */
  readonly members: number;
  readonly progress: (text: string) => void;
}

export interface Missing {
  readonly peer: string;
  readonly reason: string;
}

export class Bench {
  readonly pairs: number;
  readonly seconds: number;
  readonly members: number;
  readonly progress: (text: string) => void;
  readonly missing: Missing[] = [];
  readonly contenders: Contender[] = [];
  readonly versions: Record<string, string> = {};
  readonly #closers: (() => Promise<void>)[] = [];
  #origin: Promise<Origin> | undefined;

  constructor({ pairs, seconds, members, progress }: BenchOptions) {
    this.pairs = pairs;
    this.seconds = seconds;
    this.members = members;
    this.progress = progress;
  }

  /** Ended with the question, the newest first. */
  keep(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  origin(): Promise<Origin> {
    this.#origin ??= Origin.start().then((origin) => {
      this.keep(() => origin.close());
      return origin;
    });
    return this.#origin;
  }

  /** Starts a peer; one that is not on this machine is noted as missing, and undefined. */
  async startPeer(peer: Peer): Promise<Running | undefined> {
    const found = await peer.find();
    if ('missing' in found) {
      this.missing.push({ peer: peer.name, reason: found.missing });
      this.progress(`${peer.name}: missing (${found.missing})`);
      return undefined;
    }
    this.versions[peer.name] = found.version;
    this.progress(`starting ${peer.name}`);
    return this.#add(await peer.start(found.command, await this.origin()));
  }

  /** @throws Error when the peer is missing: for questions that have no other */
  async requirePeer(peer: Peer): Promise<Running> {
    const running = await this.startPeer(peer);
    if (running === undefined) throw new Error(`Cannot answer: ${peer.name} is missing`);
    return running;
  }

  async startSkein(variant: SkeinVariant): Promise<Running> {
    this.progress(`starting skein on ${variant.runtime}, ${variant.way}`);
    return this.#add(await startSkeinPair(variant, await this.origin()));
  }

  rounds<T>(contenders: readonly Contender[], run: (contender: Contender) => Promise<T>): Promise<Round<T>[]> {
    return measureRounds(this.pairs, contenders, run, this.progress);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
  }

  #add(running: Running): Running {
    this.keep(() => running.close());
    this.contenders.push(running);
    return running;
  }
}
