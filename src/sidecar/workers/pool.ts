/**
 * A sidecar of several processes: this one owns the identity's folder, the admin port and the signals; each worker is a whole member
 * of the mesh under the same identity, and all of them take connections at the same ports.
 */

import { raceSignal } from '../../core/abort.ts';
import { toBase64Url } from '../../core/bytes.ts';
import { Crew, workerGone } from '../../core/crew.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { type Logger, SILENT_LOGGER } from '../../core/log.ts';
import type { FileLock, ListenAddress, Listener, Platform } from '../../core/platform.ts';
import type { StartWorker } from '../../core/process.ts';
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
  readonly startWorker: StartWorker;
}

const ADMIN_TOKEN_BYTES = 32;

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

class Pool implements Sidecar {
  readonly addresses: Record<string, string> = {};
  readonly adminToken: Redacted<string>;
  readonly closed: Promise<SkeinError | undefined>;
  readonly #platform: Platform;
  readonly #log: Logger;
  readonly #lock: FileLock | undefined;
  readonly #crew: Crew;
  #admin: Listener | undefined;
  #state: 'starting' | 'ready' | 'draining' | 'closed' = 'starting';
  #drained: Promise<void> | undefined;
  #resolveClosed: (error: SkeinError | undefined) => void = () => undefined;

  constructor(platform: Platform, options: PoolOptions, log: Logger, lock: FileLock | undefined) {
    const { sidecar, logging, workers, startWorker } = options;
    const { clock, random } = platform;
    const { adminToken } = sidecar;
    this.#platform = platform;
    this.#log = log;
    this.#lock = lock;
    const token = typeof adminToken === 'string' ? new Redacted(adminToken) : adminToken;
    this.adminToken = token ?? new Redacted(toBase64Url(random.bytes(ADMIN_TOKEN_BYTES)));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const files = fileAnswers();
    this.#crew = new Crew({
      ...{ clock, random, log, workers, startWorker },
      startOf: (worker) =>
        ({ kind: 'sidecar', worker, options: optionsOf(sidecar, worker), logging }) satisfies WorkerStart,
      answersTo: () => files,
      onRefused: (error) => this.#end(error),
    });
  }

  get id(): string {
    return this.#first.id;
  }

  get instance(): string {
    return this.#first.instance;
  }

  get #first(): WorkerReady {
    const [first] = this.#crew.ready;
    if (first === undefined) throw workerGone();
    return first.ready as WorkerReady;
  }

  async start(admin: ListenAddress | undefined): Promise<void> {
    if (admin !== undefined) await this.#listenAdmin(admin);
    const first = (await this.#crew.start()) as WorkerReady;
    Object.assign(this.addresses, first.addresses);
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
      await this.#crew.stop('drain');
    }
    this.#end(undefined);
    await this.closed;
  }

  #end(error: SkeinError | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    void this.#crew
      .stop('close')
      .then(() => this.#admin?.close())
      .then(() => this.#lock?.release())
      .catch((thrown) => this.#log.log('warn', 'workers-not-closed', { error: toSkeinError(thrown).message }))
      .then(() => this.#resolveClosed(error));
  }

  async #listenAdmin(address: ListenAddress): Promise<void> {
    const { listenHttp, crypto } = this.#platform;
    if (listenHttp === undefined) throw new SkeinError('SKEIN_CONFIG', 'Cannot start sidecar: it cannot listen');
    const crew = this.#crew;
    const metrics = new Metrics();
    metrics.read('skein_workers', () => crew.ready.length);
    metrics.readAll('skein_worker_starts_total', () =>
      crew.members.map(({ worker, starts }) => [{ worker: String(worker) }, starts]),
    );
    const { fetch } = createAdminApp({
      ...createReports({ crew, metrics }),
      ...{ token: this.adminToken, crypto, log: this.#log },
      isReady: () => this.#state === 'ready' && crew.ready.length > 0,
    });
    this.#admin = await listenHttp({ ...address, fetch });
    this.addresses.admin = `http://${this.#admin.address}`;
  }
}
