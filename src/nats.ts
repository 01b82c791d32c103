/** The store that several hubs share, in NATS JetStream, for `createHub({ store })`; needs the NATS client installed. */

export { NatsStore, type NatsStoreOptions } from './hub/store/nats.ts';
