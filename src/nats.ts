/** The store that several hubs share, in NATS JetStream, for `createHub({ store })`; needs the NATS client installed. */

export { ERROR_CODES, type ErrorCode, type ErrorMeaning, SkeinError, type SkeinErrorOptions } from './core/errors.ts';
export { Redacted } from './core/redacted.ts';
export { NatsStore, type NatsStoreOptions } from './hub/store/nats.ts';
export type { Store, StoreChange, StoreEntry } from './hub/store.ts';
export type * from './ports.ts';
