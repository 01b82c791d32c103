/**
 * A sidecar of several processes: this one owns the identity's folder, the admin port and the signals; each worker is a whole member
 * of the mesh under the same identity, and all of them take connections at the same ports. One that ends is replaced.
 */

import { raceSignal } from '../../core/abort.ts';
import { Backoff } from '../../core/backoff.ts';
import { toBase64Url } from '../../core/bytes.ts';
import { wait } from '../../core/clock.ts';
import { Conversation } from '../../core/conversation.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { type Logger, SILENT_LOGGER } from '../../core/log.ts';
import type { FileLock, ListenAddress, Listener, Platform } from '../../core/platform.ts';
import type { ProcessPort, WorkerProcess } from '../../core/process.ts';
import { Redacted } from '../../core/redacted.ts';
import { Metrics } from '../../telemetry/prometheus.ts';
import { createAdminApp } from '../admin.ts';
import { claimFolder } from '../identity-folder.ts';
import { resolveSidecarOptions } from '../options.ts';
import type { Sidecar } from '../sidecar.ts';
import { optionsOf, type SharedOptions } from './options.ts';
import { createReports } from './reports.ts';
import { fileAnswers } from './shared-files.ts';
import type { WorkerReady, WorkerStart } from './worker.ts';

export interface PoolOptions {
  readonly sidecar: SharedOptions;
  /** At least one. */
  readonly workers: number;
  /** Told to each worker, for the logger that it makes. */
  readonly logging: unknown;
  readonly startWorker: ProcessPort['startWorker'];
}

const ADMIN_TOKEN_BYTES = 32;
/** One that has lived so long begins anew with short waits. */
const STEADY_MS = 30_000;
/** For a worker that has drained to end. */
const EXIT_MS = 2_000;

/**
 * Starts them: the first joins, the others find the identity that it has got. Resolves when all are ready.
 * @throws SkeinError what `createSidecar` says; the reason of the signal
 */
export async function createPool(platform: Platform, options: PoolOptions): Promise<Sidecar> {
  const { signal, log = SILENT_LOGGER, data } = options.sidecar;
  const resolved = resolveSidecarOptions(options.sidecar);
  signal?.throwIfAborted();
  const { files } = platform;
  const isOwn = data !== undefined && files !== undefined && !resolved.sharesData;
  const pool = new Pool(platform, options, log, isOwn ? await claimFolder(files, data, log) : undefined);
  try {
    await raceSignal(pool.start(resolved.admin), signal);
  } catch (thrown) {
    pool.close();
    await pool.closed;
    throw thrown;
  }
  return pool;
}

/** The place of a worker, whichever process has it. */
class Place {
  readonly number: number;
  readonly backoff: Backoff;
  child: WorkerProcess | undefined;
  conversation: Conversation | undefined;
  ready: WorkerReady | undefined;
  starts = 0;

  constructor(number: number, backoff: Backoff) {
    this.number = number;
    this.backoff = backoff;
  }

  get worker(): number {
    return this.number;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  async ask(what: string, query?: unknown): Promise<unknown> {
    if (this.conversation === undefined) throw gone();
    return this.conversation.ask(what, query);
  }
}

type State = 'starting' | 'ready' | 'draining' | 'closed';

class Pool implements Sidecar {
  readonly addresses: Record<string, string> = {};
  readonly adminToken: Redacted<string>;
  readonly closed: Promise<SkeinError | undefined>;
  readonly #platform: Platform;
  readonly #options: PoolOptions;
  readonly #log: Logger;
  readonly #lock: FileLock | undefined;
  readonly #places: readonly Place[];
  readonly #files = fileAnswers();
  readonly #ending = new AbortController();
  readonly #running: Promise<void>[] = [];
  #admin: Listener | undefined;
  #state: State = 'starting';
  #drained: Promise<void> | undefined;
  #resolveClosed: (error: SkeinError | undefined) => void = () => undefined;

  constructor(platform: Platform, options: PoolOptions, log: Logger, lock: FileLock | undefined) {
    this.#platform = platform;
    this.#options = options;
    this.#log = log;
    this.#lock = lock;
    const { adminToken } = options.sidecar;
    const token = typeof adminToken === 'string' ? new Redacted(adminToken) : adminToken;
    this.adminToken = token ?? new Redacted(toBase64Url(platform.random.bytes(ADMIN_TOKEN_BYTES)));
    this.#places = Array.from({ length: options.workers }, (_, i) => new Place(i, new Backoff(platform.random)));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get id(): string {
    return this.#first.id;
  }

  get instance(): string {
    return this.#first.instance;
  }

  get #first(): WorkerReady {
    const ready = this.#places.find((place) => place.ready !== undefined)?.ready;
    if (ready === undefined) throw gone();
    return ready;
  }

  async start(admin: ListenAddress | undefined): Promise<void> {
    if (admin !== undefined) await this.#listenAdmin(admin);
    // One alone gets the identity: a join token works once.
    const [first, ...others] = this.#places;
    if (first !== undefined) Object.assign(this.addresses, (await this.#begin(first)).addresses);
    await Promise.all(others.map((place) => this.#begin(place)));
    if (this.#state === 'starting') this.#state = 'ready';
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  close(): void {
    this.#end(undefined);
  }

  async #drain(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#state = 'draining';
      await this.#stop('drain');
    }
    this.#end(undefined);
    await this.closed;
  }

  #end(error: SkeinError | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    void this.#stop('close')
      .then(() => this.#admin?.close())
      .then(() => this.#lock?.release())
      .catch((thrown) => this.#log.log('warn', 'workers-not-closed', { error: toSkeinError(thrown).message }))
      .then(() => this.#resolveClosed(error));
  }

  /** Resolves when every worker has ended; nobody takes its place. */
  async #stop(how: 'drain' | 'close'): Promise<void> {
    this.#ending.abort();
    await Promise.all(
      this.#places.map(async (place) => {
        const { child } = place;
        if (child === undefined) return;
        // Who is still starting has nothing to finish.
        if (place.ready !== undefined) await place.ask(how).catch(() => undefined);
        place.ask('exit').catch(() => undefined);
        await Promise.race([child.ended, wait(this.#platform.clock, EXIT_MS)]);
        child.kill('SIGKILL');
      }),
    );
    await Promise.all(this.#running);
  }

  /** Fills a place for good. Resolves when it is ready for the first time. @throws SkeinError what its sidecar says */
  #begin(place: Place): Promise<WorkerReady> {
    return new Promise((resolve, reject) => {
      this.#running.push(this.#keep(place, resolve, reject).catch((thrown) => reject(thrown)));
    });
  }

  async #keep(
    place: Place,
    onReady: (ready: WorkerReady) => void,
    onRefused: (error: SkeinError) => void,
  ): Promise<void> {
    const { clock } = this.#platform;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await wait(clock, place.backoff.nextMs(), signal);
      } catch {
        return onRefused(gone());
      }
      const startedMs = clock.monotonicMs();
      const { child, conversation, end } = this.#open(place);
      try {
        place.ready = (await conversation.ask('start', this.#startOf(place))) as WorkerReady;
        onReady(place.ready);
        conversation.ask('closed').then(
          () => undefined,
          (thrown) => (place.ready === undefined ? undefined : this.#end(toSkeinError(thrown))),
        );
      } catch (thrown) {
        if (place.child !== undefined) {
          // It lives, and says why it does not serve.
          const error = toSkeinError(thrown);
          conversation.ask('exit').catch(() => undefined);
          if (this.#state === 'starting') onRefused(error);
          else this.#log.log('error', 'worker-not-started', { worker: place.number, error: error.message });
          if (this.#places.every(({ ready }) => ready === undefined)) this.#end(error);
        }
      }
      const how = await end;
      if (signal.aborted) break;
      if (clock.monotonicMs() - startedMs >= STEADY_MS) place.backoff.reset();
      this.#log.log('error', 'worker-ended', { worker: place.number, pid: child.pid, end: how });
    }
    onRefused(gone());
  }

  #open(place: Place) {
    let conversation: Conversation | undefined;
    const child = this.#options.startWorker((message) => conversation?.receive(message));
    conversation = new Conversation((message) => child.send(message), this.#files);
    const talk = conversation;
    const end = child.ended.then((how) => {
      place.child = undefined;
      place.conversation = undefined;
      place.ready = undefined;
      talk.close(gone());
      return how;
    });
    place.child = child;
    place.conversation = conversation;
    place.starts++;
    this.#log.log('info', 'worker-started', { worker: place.number, pid: child.pid });
    return { child, conversation, end };
  }

  #startOf({ number }: Place): WorkerStart {
    const { sidecar, logging } = this.#options;
    return { worker: number, options: optionsOf(sidecar, number), logging };
  }

  async #listenAdmin(address: ListenAddress): Promise<void> {
    const { listenHttp, crypto } = this.#platform;
    if (listenHttp === undefined) throw new SkeinError('SKEIN_CONFIG', 'Cannot start sidecar: it cannot listen');
    const metrics = new Metrics();
    metrics.read('skein_workers', () => this.#ready.length);
    metrics.readAll('skein_worker_starts_total', () =>
      this.#places.map(({ number, starts }) => [{ worker: String(number) }, starts]),
    );
    const reports = createReports({ workers: () => this.#ready, metrics, nobody: gone });
    const { fetch } = createAdminApp({
      ...reports,
      ...{ token: this.adminToken, crypto, log: this.#log },
      isReady: () => this.#state === 'ready' && this.#ready.length > 0,
    });
    this.#admin = await listenHttp({ ...address, fetch });
    this.addresses.admin = `http://${this.#admin.address}`;
  }

  get #ready(): readonly Place[] {
    return this.#places.filter(({ ready }) => ready !== undefined);
  }
}

function gone(): SkeinError {
  return new SkeinError('SKEIN_INTERNAL', 'Cannot ask worker: it has ended', { status: 503 });
}
