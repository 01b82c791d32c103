/** A hub of several processes: this one has the store and the signals; each worker is a whole hub on it, and all take links at the same port. */

import { raceSignal } from '../../core/abort.ts';
import { toBase64Url } from '../../core/bytes.ts';
import { Crew, type CrewMember, workerGone } from '../../core/crew.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { type Logger, SILENT_LOGGER } from '../../core/log.ts';
import type { Platform } from '../../core/platform.ts';
import type { StartWorker } from '../../core/process.ts';
import { mergeMetrics } from '../../telemetry/merge.ts';
import type { HubOptions } from '../options.ts';
import { FileStore } from '../store/file.ts';
import type { Store } from '../store.ts';
import { storeAnswers } from './store-line.ts';
import type { Neighbour } from './trunks.ts';
import { Turns } from './turns.ts';
import type { HubWorkerReady, HubWorkerStart } from './worker.ts';

export interface HubPoolOptions {
  /** With a data folder, and every role: what workers are must be in it. */
  readonly hub: Omit<HubOptions, 'store'> & { readonly dataFolder: string };
  /** One that is open already; the pool closes it. @default a file in the data folder */
  readonly store?: Store | undefined;
  readonly workers: number;
  /** Told to each worker, for the logger that it makes. */
  readonly logging: unknown;
  readonly startWorker: StartWorker;
  /** Gives up starting. */
  readonly signal?: AbortSignal | undefined;
}

/** A running hub of several processes. */
export interface HubPool {
  /** Bound address, `host:port`. */
  readonly address: string;
  /** Resolves when all has ended, with why, if nobody asked for it. */
  readonly closed: Promise<SkeinError | undefined>;
  drain(): Promise<void>;
}

const SECRET_BYTES = 32;

/** @throws SkeinError what `createHub` says; the reason of the signal */
export async function createHubPool(platform: Platform, options: HubPoolOptions): Promise<HubPool> {
  const { hub, signal } = options;
  const { log = SILENT_LOGGER, dataFolder } = hub;
  const { files } = platform;
  if (files === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot start hub: ${platform.name} has no files`);
  await files.makeFolder(dataFolder);
  const store = options.store ?? (await FileStore.open(`${dataFolder}/store.log`, { files, log }));
  const pool = new Pool(platform, options, store, log);
  try {
    await raceSignal(pool.start(), signal);
  } catch (thrown) {
    await pool.close();
    throw thrown;
  }
  return pool;
}

class Pool implements HubPool {
  readonly closed: Promise<SkeinError | undefined>;
  address = '';
  readonly #crew: Crew;
  readonly #store: Store;
  readonly #log: Logger;
  /** By worker; it may not be ready yet. */
  readonly #neighbours = new Map<number, Neighbour>();
  readonly #turns: Turns;
  readonly #storeEnds = new Map<number, () => void>();
  #closing: Promise<void> | undefined;
  #resolveClosed: (error: SkeinError | undefined) => void = () => undefined;

  constructor(platform: Platform, options: HubPoolOptions, store: Store, log: Logger) {
    const { clock, random } = platform;
    const { hub, workers, logging, startWorker } = options;
    const { log: _log, ...given } = hub;
    const secret = toBase64Url(random.bytes(SECRET_BYTES));
    this.#store = store;
    this.#log = log;
    this.#turns = new Turns(platform);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#crew = new Crew({
      ...{ clock, random, log, workers, startWorker },
      startOf: (worker) => ({ kind: 'hub', worker, options: given, secret, logging }) satisfies HubWorkerStart,
      answersTo: (worker) => this.#answersTo(worker),
      onEnded: (worker) => {
        this.#storeEnds.get(worker)?.();
        this.#neighbours.delete(worker);
        this.#turns.forget(worker);
      },
      onRefused: (error) => void this.close(error),
    });
  }

  async start(): Promise<void> {
    this.address = ((await this.#crew.start()) as HubWorkerReady).address;
  }

  async drain(): Promise<void> {
    await this.#crew.stop('drain');
    await this.close();
  }

  close(error?: SkeinError): Promise<void> {
    this.#closing ??= this.#close(error);
    return this.#closing;
  }

  async #close(error: SkeinError | undefined): Promise<void> {
    await this.#crew.stop('close');
    await this.#store.close().catch((thrown) => {
      this.#log.log('error', 'store-not-closed', { error: toSkeinError(thrown).message });
    });
    this.#resolveClosed(error);
  }

  #answersTo(worker: number) {
    const member = this.#crew.members[worker] as CrewMember;
    const { 'store-end': end, ...store } = storeAnswers(this.#store, (change) => {
      member.ask('change', change).catch(() => undefined); // it has ended, and its place is filled by one that reads all
    });
    this.#storeEnds.set(worker, end);
    return {
      ...store,
      join: (query: unknown) => {
        const others = [...this.#neighbours.values()];
        this.#neighbours.set(worker, query as Neighbour);
        this.#turns.enter(worker);
        return others;
      },
      lives: (query: unknown) => [...this.#neighbours.values()].some(({ hub }) => hub === query),
      linked: (query: unknown) => this.#turns.linked(worker, Number(query), this.address),
      tell: (query: unknown) => this.#tell(query),
      gather: (query: unknown) => this.#gather(query),
    };
  }

  /** From one worker to another. */
  #tell(query: unknown): Promise<unknown> {
    const {
      hub,
      what,
      query: told,
    } = query as { readonly hub: string; readonly what: string; readonly query: unknown };
    const [worker = -1] = [...this.#neighbours].find(([, { hub: name }]) => name === hub) ?? [];
    const to = this.#crew.members[worker];
    if (to === undefined) throw workerGone();
    return to.ask(what, told);
  }

  async #gather(query: unknown): Promise<unknown> {
    const { what } = query as { readonly what: string };
    const answers = await this.#crew.askAll(what).catch(() => []); // none is ready yet
    if (what === 'metrics') {
      return mergeMetrics(
        'worker',
        answers.map(([{ worker }, text]) => [String(worker), String(text)]),
      );
    }
    return mergeStatus(answers.map(([member, status]) => [member, status as HubStatus]));
  }
}

interface HubStatus {
  readonly hub: object;
  readonly relay: Readonly<Record<string, number>>;
  readonly sidecars: readonly object[];
  readonly hubs: readonly { readonly url: string }[];
}

/** The first one's, with the sidecars of all and the sums of what they relay. */
function mergeStatus(answers: readonly (readonly [CrewMember, HubStatus])[]): object {
  const [first] = answers;
  if (first === undefined) throw workerGone();
  const relay: Record<string, number> = {};
  for (const [, status] of answers) {
    for (const [name, value] of Object.entries(status.relay)) relay[name] = (relay[name] ?? 0) + value;
  }
  return {
    ...first[1],
    relay,
    sidecars: answers.flatMap(([{ worker }, { sidecars }]) => sidecars.map((sidecar) => ({ worker, ...sidecar }))),
    // Other workers are no other hubs.
    hubs: first[1].hubs.filter(({ url }) => url !== (first[0].ready as HubWorkerReady | undefined)?.url),
    workers: answers.map(([{ worker, pid, starts }, { hub, relay: own, sidecars }]) => ({
      ...{ worker, pid, starts, hub, relay: own },
      sidecars: sidecars.length,
    })),
  };
}
