/** The parts of Durable Objects that a hub in one uses (developers.cloudflare.com/durable-objects/api), as far as it uses them. */

/** The object's own small database, which answers at once; what leaves the object waits until it is on disk. */
export interface ObjectValues {
  /** The value of `key`, or undefined. */
  get(key: string): unknown;
  /** Writes the value of `key`. */
  put(key: string, value: unknown): void;
  /** Deletes `key`, if it is there. */
  delete(key: string): unknown;
  /** Keys that begin with `prefix`, with their values. */
  list(options: { readonly prefix: string }): Iterable<[key: string, value: unknown]>;
}

/** What an object keeps. */
export interface ObjectStorage {
  /** Keys and values. */
  readonly kv: ObjectValues;
  /** Wakes the object at that wall time; there is one alarm. */
  setAlarm(epochMs: number): Promise<void>;
}

/** A WebSocket that the runtime holds while the object sleeps. */
export interface SleepingSocket {
  /** Sends one message. */
  send(message: ArrayBufferView): void;
  /** Says goodbye. */
  close(code: number, reason: string): void;
  /** Absent in older builds of workerd; then windows are the only limit. */
  readonly bufferedAmount?: number;
  /** Survives the sleep with the socket; at most 16 KiB. */
  serializeAttachment(value: unknown): void;
  /** What was attached last. */
  deserializeAttachment(): unknown;
}

/** `ctx` of a Durable Object. */
export interface ObjectContext {
  /** What the object keeps. */
  readonly storage: ObjectStorage;
  /** From now on the runtime holds this WebSocket, and calls the object when something comes. */
  acceptWebSocket(socket: SleepingSocket): void;
  /** Those that it holds. */
  getWebSockets(): readonly SleepingSocket[];
  /** A text that the runtime answers by itself. */
  setWebSocketAutoResponse(pair: object): void;
  /** When that socket was last answered so; null: never. */
  getWebSocketAutoResponseTimestamp(socket: SleepingSocket): Date | null;
  /** No event comes before `work` has ended. */
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>;
}

/** Both ends of a new WebSocket: the client's, which goes into the answer, and the server's. */
export type SocketPair = Readonly<Record<0 | 1, SleepingSocket>>;
