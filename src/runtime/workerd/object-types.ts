/** The parts of Durable Objects that a hub in one uses (developers.cloudflare.com/durable-objects/api), as far as it uses them. */

/** The object's own small database, which answers at once; what leaves the object waits until it is on disk. */
export interface ObjectValues {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
  list(options: { readonly prefix: string }): Iterable<[key: string, value: unknown]>;
}

export interface ObjectStorage {
  readonly kv: ObjectValues;
  /** Wakes the object at that wall time; there is one alarm. */
  setAlarm(epochMs: number): Promise<void>;
}

/** A WebSocket that the runtime holds while the object sleeps. */
export interface SleepingSocket {
  send(message: ArrayBufferView): void;
  close(code: number, reason: string): void;
  /** Absent in older builds of workerd; then windows are the only limit. */
  readonly bufferedAmount?: number;
  /** Survives the sleep with the socket; at most 16 KiB. */
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
}

export interface ObjectContext {
  readonly storage: ObjectStorage;
  acceptWebSocket(socket: SleepingSocket): void;
  getWebSockets(): readonly SleepingSocket[];
  setWebSocketAutoResponse(pair: object): void;
  /** When that socket was last answered so; null: never. */
  getWebSocketAutoResponseTimestamp(socket: SleepingSocket): Date | null;
  /** No event comes before `work` has ended. */
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>;
}

/** Both ends of a new WebSocket: the client's, which goes into the answer, and the server's. */
export type SocketPair = Readonly<Record<0 | 1, SleepingSocket>>;
