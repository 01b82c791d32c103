/** Every message between sidecar and hub, with the schema that what arrives must match. */

import * as v from 'valibot';
import { APP_PROTOCOLS, type Endpoint } from '../catalog/endpoint.ts';
import type { Manifest, Resource } from '../catalog/resource.ts';
import { isLabel, isServiceKey } from '../catalog/service.ts';
import { parseIp } from '../core/ip.ts';

/*
 * Bodies ignore members that they do not know, so that a member may be added without a new version of the protocol.
 * Resources keep them: the digest of a catalogue covers every member, known or not.
 */

/** Services that one sidecar may serve, and watch. */
export const MAX_SERVED = 256;
export const MAX_WATCHED = 1024;
export const MAX_LABELS = 64;

/** Whether all who are told of an instance would read its name: a push with another one costs them their control stream. */
export function isInstance(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const serviceKey = v.pipe(v.string(), v.check(isServiceKey, 'not name.namespace'));
const label = v.pipe(v.string(), v.check(isLabel, 'not a DNS label'));
/** Ids of processes and circuits' ends: made by `createId`, opaque to the other side. */
const instance = v.pipe(v.string(), v.check(isInstance, 'not an instance id'));
const circuit = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffff_ffff));
const spiffeId = v.pipe(v.string(), v.startsWith('spiffe://'), v.maxLength(2048));
const locality = text(64);
const labels = v.pipe(
  v.record(text(128), text(256)),
  v.check((value) => Object.keys(value).length <= MAX_LABELS, 'too many labels'),
);
const weight = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1000));
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const wit = text(8192);
/** Base64url: of 16 KiB at most. */
const base64 = v.pipe(text(22_000), v.regex(/^[\w-]*$/));
/** A SPIFFE bundle (JWKS); `auth` reads it strictly. */
const bundle = v.custom<object>((value) => typeof value === 'object' && value !== null && 'keys' in value);
const ip = v.pipe(
  v.string(),
  v.check((address) => parseIp(address) === address, 'not an IP address'),
);
const nothing = v.object({});

const endpoint = v.looseObject({
  kind: v.literal('Endpoint'),
  service: serviceKey,
  instance,
  id: spiffeId,
  port,
  protocol: v.picklist(APP_PROTOCOLS),
  labels,
  region: locality,
  zone: locality,
  healthy: v.boolean(),
  weight,
}) satisfies v.GenericSchema<unknown, Endpoint>;

const manifest = v.looseObject({
  apiVersion: v.optional(text(128)),
  kind: v.pipe(v.string(), v.regex(/^[A-Z][A-Za-z0-9]{0,62}$/)),
  metadata: v.looseObject({ name: text(253), namespace: label }),
  spec: v.optional(v.unknown()),
}) satisfies v.GenericSchema<unknown, Manifest>;

const resource: v.GenericSchema<unknown, Resource> = v.lazy((input) =>
  typeof input === 'object' && input !== null && 'kind' in input && input.kind === 'Endpoint' ? endpoint : manifest,
);

const served = v.object({
  service: serviceKey,
  port,
  protocol: v.picklist(APP_PROTOCOLS),
  labels: v.optional(labels),
  healthy: v.boolean(),
  weight: v.optional(weight),
});

const auditEntry = v.object({
  seq: natural,
  atMs: natural,
  kind: v.picklist(['join', 'renew', 'hub', 'keys', 'admin', 'stretch']),
  id: text(2048),
  key: v.optional(text(64)),
  by: text(64),
  what: v.optional(text(2048)),
});

/** Calls, sidecar → hub: request and answer. */
export const CALLS = {
  /** Newcomers, whose identity the handshake has just proven by a join token: the first WIT-SVID. */
  enrol: { request: nothing, answer: v.object({ wit, bundle, id: spiffeId, services: v.array(serviceKey) }) },
  /** A fresh WIT-SVID for the same key. */
  renew: { request: nothing, answer: v.object({ wit, bundle }) },
  /** The SVID that the caller has got meanwhile, of a hub that issues: the link is good for as long. */
  present: { request: v.object({ wit }), answer: nothing },
  /**
   * What the hub knows the caller again by, without signatures, also behind a restart. Who has shown none in this session's handshake, or has
   * a ticket of it, proves anew who it is, and so does the hub: credentials as in handshakes, over a secret of the session.
   */
  ticket: {
    request: v.object({ credential: v.optional(base64) }),
    answer: v.object({ ticket: v.optional(base64), seconds: natural, credential: v.optional(base64) }),
  },
  /**
   * How the audit log goes on behind entry `after`, with which a stretch has ended: where the answer begins, the ends of the next stretches,
   * each with the proof of what is in it about the caller, and that in full. Entries behind the last of these stretches are of the next one:
   * of that the caller asks for those behind `own`. `head` is the issuer's word on the end of the last stretch of all.
   */
  audit: {
    request: v.object({ after: natural, own: v.optional(natural) }),
    answer: v.object({
      base: v.object({ seq: natural, hash: text(64) }),
      checkpoint: v.optional(text(2048)),
      head: text(2048),
      stretches: v.array(
        v.object({
          seq: natural,
          atMs: natural,
          root: text(64),
          path: v.pipe(text(8192), v.regex(/^(?:[\w-]{44})*$/)),
          leaf: v.optional(v.pipe(text(65), v.regex(/^[\w-]{65}$/))),
        }),
      ),
      own: v.array(auditEntry),
    }),
  },
  /** A JWT-SVID that tells `audience` who the caller is: what an application shows to somebody else. */
  token: {
    request: v.object({ audience: v.pipe(text(512), v.nonEmpty()) }),
    answer: v.object({ token: text(8192), expiresAtMs: natural }),
  },
  /** What this instance serves, whole; it replaces what was registered before. */
  register: {
    request: v.object({
      instance,
      region: v.optional(locality),
      zone: v.optional(locality),
      services: v.pipe(v.array(served), v.maxLength(MAX_SERVED)),
      /** How other members may reach this one without a relay. */
      reach: v.optional(v.object({ port: v.optional(port), network: v.optional(text(64)) })),
    }),
    answer: v.object({ epoch: natural, revision: natural }),
  },
  /** The services it calls, whole. The answer comes behind the push that tells what they are. */
  watch: { request: v.object({ services: v.pipe(v.array(serviceKey), v.maxLength(MAX_WATCHED)) }), answer: nothing },
  /** The catalogue here differs from what the hub believes: send it whole. */
  resync: { request: nothing, answer: nothing },
  /** Join circuit `circuit`, which the caller has opened on its link, to one of `instance`. After the answer records may be sent. */
  openCircuit: { request: v.object({ instance, circuit }), answer: nothing },
  /** The circuit of a `circuit` push was adopted and somebody listens on it: from now on records may come. */
  acceptCircuit: { request: v.object({ circuit }), answer: nothing },
  /** Where this hub sees the caller and `instance`, with whom it has a circuit here, and who else can tell the caller where it is seen. */
  introduce: {
    request: v.object({ instance }),
    answer: v.object({
      own: v.optional(ip),
      peer: v.optional(ip),
      isSameNetwork: v.boolean(),
      reflectors: v.pipe(v.array(text(64)), v.maxLength(8)),
    }),
  },
  /** This instance drains: nobody should choose it any more. */
  leave: { request: nothing, answer: nothing },
} as const;

/**
 * How far a hub knows the store that it shares with others, and whether it was in touch with it just now. A hub with a store of
 * its own leaves it out: nobody can know more.
 */
const asOf = v.object({ revision: natural, isCurrent: v.boolean() });

/** Pushes, hub → sidecar; nothing answers them. */
export const PUSHES = {
  /** A step of the catalogue; `more`: further parts of the same step follow, and only all of them together count. */
  catalogue: v.object({
    epoch: natural,
    revision: natural,
    base: natural,
    digest: hash,
    full: v.boolean(),
    more: v.boolean(),
    asOf: v.optional(asOf),
    upserts: v.array(resource),
    removals: v.array(text(512)),
  }),
  /** `instance`, whose identity is `id`, has opened a circuit to here: adopt it, be the responder of a session, `acceptCircuit`. */
  circuit: v.object({ circuit, instance, id: spiffeId }),
  /** This hub goes away: go to another, or come back after `reconnectInMs`. */
  goaway: v.object({ reconnectInMs: natural }),
  /**
   * Identities that are good no more, whole, in parts of one number; it grows with each change. `key`: only who proves that one;
   * `joinedUntilMs`: only who had joined by then.
   */
  revocations: v.object({
    number: natural,
    more: v.boolean(),
    /** In the last part: the issuer's word on number and entries. */
    head: v.optional(text(2048)),
    entries: v.array(v.object({ id: spiffeId, key: v.optional(text(64)), joinedUntilMs: v.optional(natural) })),
  }),
  /**
   * The issuer's word on what all resources are, and of the index that it is about what has changed since the last one (`full`: the
   * whole of it): the digest of each topic, "" where there is nothing any more. `more`: further parts follow.
   */
  seal: v.object({
    head: text(2048),
    full: v.boolean(),
    more: v.boolean(),
    entries: v.pipe(v.array(v.tuple([text(64), text(64)])), v.maxLength(1000)),
  }),
  /** The audit log has come further. */
  audit: v.object({ head: text(2048) }),
  /** The keys of the trust domain have changed. */
  bundle: v.object({ bundle }),
} as const;

export type CallName = keyof typeof CALLS;
export type CallRequest<N extends CallName> = v.InferOutput<(typeof CALLS)[N]['request']>;
export type CallAnswer<N extends CallName> = v.InferOutput<(typeof CALLS)[N]['answer']>;
export type PushName = keyof typeof PUSHES;
export type Push<N extends PushName> = v.InferOutput<(typeof PUSHES)[N]>;

export type CataloguePush = Push<'catalogue'>;
export type SealPush = Push<'seal'>;
export type AsOf = v.InferOutput<typeof asOf>;
export type Registration = CallRequest<'register'>;
export type ServedService = Registration['services'][number];

/** First element of every message on the stream. */
export const ENVELOPE = { call: 0, answer: 1, failure: 2, push: 3 } as const;

/** What a message is before its body is read: an array whose first element is one of `ENVELOPE`. */
export const envelope = v.union([
  v.strictTuple([v.literal(ENVELOPE.call), natural, text(64), v.unknown()]),
  v.strictTuple([v.literal(ENVELOPE.answer), natural, v.unknown()]),
  v.strictTuple([v.literal(ENVELOPE.failure), natural, text(64), text(2048), v.record(v.string(), v.unknown())]),
  v.strictTuple([v.literal(ENVELOPE.push), text(64), v.unknown()]),
]);
