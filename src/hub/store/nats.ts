/**
 * A store that hubs share: a bucket of NATS JetStream. All of it is held here as well, so that what is known can be read while
 * no server answers; changes are made at the server alone. The only door to the NATS client.
 */

import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  type StorageType,
} from '@nats-io/jetstream';
import { type KV, type KvEntry, Kvm } from '@nats-io/kv';
import {
  type Authenticator,
  AuthorizationError,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type TlsOptions,
} from '@nats-io/transport-node';
import { Backoff } from '../../core/backoff.ts';
import { type Bytes, decodeUtf8, encodeUtf8 } from '../../core/bytes.ts';
import { type Clock, setPeriodic, type Timer, wait } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { parseIp } from '../../core/ip.ts';
import type { Logger } from '../../core/log.ts';
import type { Random } from '../../core/random.ts';
import type { Redacted } from '../../core/redacted.ts';
import { checkValue, type Store, type StoreChange, type StoreEntry } from '../store.ts';
import { type NatsAddress, parseNatsAddress } from './nats-address.ts';
import { NatsFeed } from './nats-feed.ts';
import { encodeKey } from './nats-keys.ts';

/** Where the store is. */
export interface NatsStoreOptions {
  /** `nats://[user:password@]host:port[,host:port…][/bucket][?replicas=3]`; `tls://` for TLS. */
  readonly address: Redacted<string>;
  /** Content of a `.creds` file. */
  readonly credentials?: Redacted<Bytes> | undefined;
  /** Time, as of `nodePlatform()`. */
  readonly clock: Clock;
  /** Chance, as of `nodePlatform()`. */
  readonly random: Random;
  /** Told when the server is lost and found. */
  readonly log: Logger;
  /** How long the mark of a deletion is kept at the server, in milliseconds. @default 600_000 */
  readonly markMs?: number;
  /** Ends the wait for a server that does not answer. */
  readonly signal?: AbortSignal | undefined;
}

/** A server that says nothing for so long is taken for gone: two pings. */
const PING_MS = 2_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** Longer than a change takes at a healthy server, shorter than the election of a new leader (4 to 8 s): who waits hears of that. */
const REQUEST_TIMEOUT_MS = 2_000;
/** Between two dials, so that what waits is written within 5 s of a server's return. */
const RECONNECT_MS = 250;
const RECONNECT_JITTER_MS = 750;
/** Without a feed, others' changes are known so soon. */
const ASK_MS = 250;
/** Servers that are just finding each other may say strange things of a bucket; what they say for so long they mean. */
const REPLACED_AFTER_MS = 5_000;
/** Marks of deletions are for those who read them a little later; who was away for longer reads everything anew. */
const MARK_MS = 600_000;
/** Room for the headers of a message beside its value. */
const HEADER_BYTES = 1024;

/** A bucket of JetStream KV that several hubs share. It is made if it is not there. */
export class NatsStore implements Store {
  readonly isShared = true;
  readonly #options: NatsStoreOptions;
  readonly #address: NatsAddress;
  readonly #nats: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #bucket: KV;
  /** When the bucket was made: another one has another history. */
  readonly #madeAt: string;
  readonly #feed: NatsFeed;
  readonly #sweep: Timer;
  readonly #stop = new AbortController();
  /** *answering*: changes can be made, but what others change is not told yet. */
  #state: 'down' | 'answering' | 'up' | 'replaced' = 'down';
  /** A request was not answered: a server may be gone, and the feed with it. */
  #isSuspect = false;
  #isAsking = false;
  /** Number of the connection: what belongs to an earlier one counts for nothing. */
  #connection = 0;

  private constructor(
    options: NatsStoreOptions,
    address: NatsAddress,
    opened: { nats: NatsConnection; manager: JetStreamManager; bucket: KV; madeAt: string },
  ) {
    this.#options = options;
    this.#address = address;
    this.#nats = opened.nats;
    this.#manager = opened.manager;
    this.#bucket = opened.bucket;
    this.#madeAt = opened.madeAt;
    this.#feed = new NatsFeed(opened.bucket, address.bucket, opened.manager, options.clock);
    this.#sweep = setPeriodic(options.clock, options.markMs ?? MARK_MS, () => {
      this.#sweepMarks().catch(() => undefined); // the next time
    });
  }

  /**
   * Waits for a server, however long it takes, and says so.
   * @throws SkeinError SKEIN_CONFIG when it refuses the login, SKEIN_CANCELLED when `signal` aborts
   */
  static async open(options: NatsStoreOptions): Promise<NatsStore> {
    const address = parseNatsAddress(options.address.reveal());
    const { log, random, clock, signal } = options;
    const { servers, bucket } = address;
    const backoff = new Backoff(random, { capMs: RECONNECT_MS + RECONNECT_JITTER_MS });
    for (let isFirst = true; ; isFirst = false) {
      if (signal?.aborted) throw new SkeinError('SKEIN_CANCELLED', 'Cannot open store: this hub was told to stop');
      try {
        const store = await NatsStore.#connect(options, address);
        log.log('info', 'store-connected', { servers, bucket });
        return store;
      } catch (thrown) {
        if (thrown instanceof AuthorizationError) throw loginRefused(thrown);
        if (thrown instanceof SkeinError && thrown.code === 'SKEIN_CONFIG') throw thrown;
        const { message } = toSkeinError(thrown);
        log.log(isFirst ? 'warn' : 'debug', 'store-unreachable', { servers, bucket, error: message });
        await wait(clock, Math.max(RECONNECT_MS, backoff.nextMs()), signal).catch(() => undefined); // said above
      }
    }
  }

  static async #connect(options: NatsStoreOptions, address: NatsAddress): Promise<NatsStore> {
    const login = address.login?.reveal();
    const nats = await connect({
      servers: [...address.servers],
      name: 'skein hub',
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_MS,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      reconnectJitterTLS: RECONNECT_JITTER_MS,
      // A login that is refused now, while an administrator changes it, may be good again.
      ignoreAuthErrorAbort: true,
      ...(address.isTls ? { tls: toTls(address) } : {}),
      ...(login === undefined ? {} : 'token' in login ? login : { user: login.user, pass: login.password }),
      ...(options.credentials === undefined ? {} : { authenticator: toAuthenticator(options.credentials) }),
    });
    try {
      const client = jetstream(nats, { timeout: REQUEST_TIMEOUT_MS });
      const manager = await client.jetstreamManager();
      const bucket = await new Kvm(client).create(address.bucket, {
        history: 1,
        replicas: address.replicas,
        storage: 'file' as StorageType,
        // Read from the leader: others may be behind.
        allow_direct: false,
        description: 'skein: state that hubs share',
      });
      const { streamInfo } = await bucket.status();
      const store = new NatsStore(options, address, { nats, manager, bucket, madeAt: streamInfo.created });
      return await store.#start();
    } catch (thrown) {
      await nats.close();
      throw thrown;
    }
  }

  async #start(): Promise<this> {
    this.#follow().catch((thrown) => this.#log('error', 'store-failed', thrown));
    try {
      await this.#feed.begin(() => this.#restart());
      this.#state = 'up';
      return this;
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  get revision(): number {
    return this.#feed.replica.table.revision;
  }

  get(key: string): Promise<StoreEntry | undefined> {
    return this.#ask(async () => {
      const found = await this.#bucket.get(encodeKey(key));
      return found === null || found.operation !== 'PUT' ? undefined : toEntry(key, found);
    });
  }

  async list(prefix: string): Promise<readonly StoreEntry[]> {
    return this.#feed.replica.table.list(prefix);
  }

  compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined> {
    return this.#ask(async () => {
      const bytes = encodeUtf8(value);
      checkValue(bytes.length, (this.#nats.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADER_BYTES);
      const written = await this.#put(encodeKey(key), revision, bytes);
      if (written === undefined) return undefined;
      await this.#until(() => this.revision >= written);
      return { key, revision: written, value };
    });
  }

  delete(key: string, revision: number): Promise<boolean> {
    return this.#ask(async () => {
      try {
        await this.#bucket.delete(encodeKey(key), { previousSeq: revision });
      } catch (thrown) {
        if (isConflict(thrown)) return false;
        throw thrown;
      }
      await this.#until(() => this.#feed.replica.table.get(key)?.revision !== revision);
      return true;
    });
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    return this.#feed.replica.table.watch(prefix, listener);
  }

  async close(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#sweep.cancel();
    this.#goDown();
    await this.#nats.close();
  }

  /** @param revision 0: there is no value, but there may be the mark of a deletion */
  async #put(key: string, revision: number, value: Bytes): Promise<number | undefined> {
    for (let before = revision; ; ) {
      try {
        return await this.#bucket.put(key, value, { previousSeq: before });
      } catch (thrown) {
        if (!isConflict(thrown)) throw thrown;
        const found = revision === 0 ? await this.#bucket.get(key) : null;
        if (found === null || found.operation === 'PUT' || found.revision === before) return undefined;
        before = found.revision;
      }
    }
  }

  /** Asks the server, if there is one. Nothing is left to be sent later: the caller has been told by then that it failed. */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    const state = this.#state;
    if (state === 'down' || state === 'replaced') {
      throw new SkeinError('SKEIN_STORE', `Cannot reach store: ${UNREACHABLE[state]}`);
    }
    try {
      const answer = await question();
      if (this.#isSuspect && this.isUp) this.#restart();
      return answer;
    } catch (thrown) {
      if (!(thrown instanceof JetStreamApiError || thrown instanceof SkeinError)) this.#isSuspect = true;
      throw toSkeinError(thrown, 'SKEIN_STORE');
    }
  }

  /** Waits for what is written to come back; the server has it either way. */
  async #until(isDone: () => boolean): Promise<void> {
    if (this.#state !== 'up') return;
    if ((await this.#feed.until(isDone)) || this.#state !== 'up') return;
    this.#log('warn', 'store-feed-silent');
    this.#restart();
  }

  /** Follows what becomes of the connection until the end. */
  async #follow(): Promise<void> {
    for await (const status of this.#nats.status()) {
      if (status.type === 'disconnect') {
        if (this.isUp) this.#log('warn', 'store-lost');
        this.#goDown();
      } else if (status.type === 'reconnect') {
        this.#restart();
      } else if (status.type === 'error') {
        this.#log('warn', 'store-error', status.error);
      }
    }
  }

  #goDown(): void {
    if (this.#state !== 'replaced') this.#state = 'down';
    this.#endFeed();
  }

  #endFeed(): void {
    this.#isSuspect = false;
    this.#connection++;
    this.#feed.end();
  }

  /** Reads everything anew, as often as it takes. */
  #restart(): void {
    if (this.#stop.signal.aborted || this.#state === 'replaced') return;
    if (this.#state === 'up') this.#state = 'answering';
    this.#endFeed();
    this.#catchUp(this.#connection).catch((thrown) => this.#log('error', 'store-failed', thrown));
  }

  async #catchUp(connection: number): Promise<void> {
    const { clock, random } = this.#options;
    const backoff = new Backoff(random, { capMs: RECONNECT_MS + RECONNECT_JITTER_MS });
    let replacedSinceMs: number | undefined;
    while (connection === this.#connection) {
      try {
        if (await this.#isReplaced()) {
          this.#state = 'down';
          replacedSinceMs ??= clock.monotonicMs();
          if (clock.monotonicMs() - replacedSinceMs < REPLACED_AFTER_MS) throw new SkeinError('SKEIN_STORE', REPLACED);
          if (connection !== this.#connection) return;
          this.#state = 'replaced';
          this.#log('error', 'store-replaced', undefined, { remedy: REPLACED_REMEDY });
          return;
        }
        replacedSinceMs = undefined;
        if (connection !== this.#connection) return;
        // A server may take changes long before it finds another that serves the feed: the lease of this hub must not wait for that.
        this.#state = 'answering';
        this.#askOn();
        await this.#feed.begin(() => this.#restart());
        if (connection !== this.#connection) return;
        this.#state = 'up';
        this.#log('info', 'store-back');
        return;
      } catch (thrown) {
        this.#log(backoff.attempts === 0 ? 'warn' : 'debug', 'store-not-read', thrown);
        await wait(clock, Math.max(RECONNECT_MS, backoff.nextMs()), this.#stop.signal).catch(() => undefined); // closed
      }
    }
  }

  /** Until there is a feed, the server is asked for what is new. */
  #askOn(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { clock } = this.#options;
    const askOn = async (): Promise<void> => {
      while (this.#state === 'answering') {
        await this.#feed.ask().catch(() => undefined); // until there is a feed
        await wait(clock, ASK_MS);
      }
      this.#isAsking = false;
    };
    askOn().catch((thrown) => this.#log('error', 'store-failed', thrown));
  }

  /** A bucket that was made anew, or put back, lacks what was answered; to follow it would make the mesh forget policies. */
  async #isReplaced(): Promise<boolean> {
    try {
      const { created, state } = (await this.#bucket.status()).streamInfo;
      return created !== this.#madeAt || state.last_seq < this.revision;
    } catch (thrown) {
      if (thrown instanceof JetStreamApiError && thrown.code === JetStreamApiCodes.StreamNotFound) return true;
      throw thrown;
    }
  }

  /** Deletions leave marks at the server; old ones are of no use to anybody. */
  async #sweepMarks(): Promise<void> {
    if (this.#state !== 'up') return;
    const { clock, markMs = MARK_MS } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const mark of this.#feed.marks()) {
      if (nowMs - mark.sinceMs < markMs) continue;
      const filter = `$KV.${this.#address.bucket}.${mark.key}`;
      // Up to the mark and no further: the key may just have been written anew.
      await this.#manager.streams.purge(`KV_${this.#address.bucket}`, { filter, seq: mark.revision + 1 });
      this.#feed.forgetMark(mark);
    }
  }

  #log(level: 'info' | 'warn' | 'error' | 'debug', event: string, thrown?: unknown, fields: object = {}): void {
    const { servers, bucket } = this.#address;
    const error = thrown === undefined ? {} : { error: toSkeinError(thrown).message };
    this.#options.log.log(level, event, { servers, bucket, ...error, ...fields });
  }
}

const REPLACED = 'Cannot read store: the bucket is not what it was';
const REPLACED_REMEDY =
  'The bucket was made anew or put back to an earlier state. This hub serves what it knew and changes nothing; restart all hubs ' +
  'of the mesh to go on with what the bucket holds, then apply routes and policies again.';

const UNREACHABLE = {
  down: 'no server answers',
  replaced: 'its bucket is not the one that this hub has started with; restart the hub',
} as const;

function toEntry(key: string, { revision, value }: KvEntry): StoreEntry {
  return { key, revision, value: decodeUtf8(value as Bytes) };
}

function isConflict(thrown: unknown): boolean {
  return (
    thrown instanceof JetStreamApiError &&
    (thrown.code === JetStreamApiCodes.StreamWrongLastSequence ||
      thrown.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
  );
}

/**
 * To a server that is an address no name is sent, and Node would take the certificate of any "localhost" for its own: it must be for
 * that address. Of several, for the first of them.
 */
function toTls({ servers }: NatsAddress): TlsOptions & { readonly host?: string } {
  const host = servers
    .map((server) => parseIp(server.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')))
    .find((ip) => ip !== undefined);
  return host === undefined ? {} : { host };
}

/** @throws SkeinError SKEIN_CONFIG when they are none */
function toAuthenticator(credentials: Redacted<Bytes>): Authenticator {
  const authenticator = credsAuthenticator(credentials.reveal());
  try {
    // It reads them when it is asked.
    authenticator('nonce');
  } catch {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot open store: its file holds no credentials of NATS', {
      details: { remedy: 'Give the .creds file of a user, as `nsc generate creds` writes it.' },
    });
  }
  return authenticator;
}

function loginRefused(cause: Error): SkeinError {
  return new SkeinError('SKEIN_CONFIG', 'Cannot open store: the server refuses the login', {
    cause,
    details: { remedy: 'Check user and password, token or credentials file of --store.' },
  });
}
