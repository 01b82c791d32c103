/**
 * The parts of Cloudflare's API that members in Durable Objects use, as documented at developers.cloudflare.com/durable-objects/api.
 * Written down here, so that users need no types of ours beside theirs, whose objects fit.
 */

/** Texts by name, which outlive the process: the storage of a Durable Object, or a KV namespace. */
export interface TextStorage {
  /** Gives nothing (undefined or null) where there is nothing. */
  get(key: string): Promise<unknown>;
  /** Writes the text of `key`. */
  put(key: string, value: string): Promise<void>;
  /** Deletes `key`, if it is there. */
  delete(key: string): Promise<unknown>;
}

/** `state.storage` of a Durable Object. */
export interface MemberStorage extends TextStorage {
  /** When the alarm is due; null: none is set. */
  getAlarm(): Promise<number | null>;
  /** The object's `alarm` is called at that time, in milliseconds since 1970, and made first if it is gone. */
  setAlarm(atMs: number): Promise<void>;
}

/** What a Durable Object is given when it is made. */
export interface MemberState {
  /** What the object keeps. */
  readonly storage: MemberStorage;
}

/** What answers requests: a service binding, the stub of an object, a Worker's own `{ fetch }`. */
export interface Fetcher {
  /** Answers one request. */
  fetch(request: Request): Promise<Response>;
}

/** A binding to a class of Durable Objects. */
export interface ObjectNamespace {
  /** The object of that name, wherever it lives. */
  getByName(name: string): Fetcher;
}
