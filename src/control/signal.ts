/** What the two ends of a session tell each other about ways between them: small messages, sealed as all that a session carries. */

import * as v from 'valibot';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { parseIpEndpoint } from '../core/ip.ts';
import { decodeMessage, encodeMessage } from './codec.ts';

/*
 *  A (starts)                        B
 *   offer   ───────────────────────▶     where A can be dialled; B dials
 *           ◀───────────────────────  answer (or decline)   where B can be dialled; A dials
 *   round   ───────────────────────▶     from where A will dial, as others see it
 *           ◀───────────────────────  ready     from where B will
 *   go      ───────────────────────▶     both dial
 *           ◀──────────────────────▶  fail      this round is over, at once
 */

/** Candidates of one end: one for each place it may be found at, and no list of targets. */
export const MAX_CANDIDATES = 8;
/** Rounds of one attempt. */
export const MAX_ROUNDS = 3;

/**
 * How a NAT maps one inner port for different destinations (RFC 4787 §4.1): `endpoint-dependent` is what people call
 * symmetric. `none`: the address is the host's own.
 */
export const NAT_KINDS = ['unknown', 'none', 'endpoint-independent', 'endpoint-dependent'] as const;
export type NatKind = (typeof NAT_KINDS)[number];

/** Where a candidate leads: to the same host, into the same private network, or to a public address. */
export const CANDIDATE_KINDS = ['host', 'network', 'public'] as const;
export type CandidateKind = (typeof CANDIDATE_KINDS)[number];

export const DECLINE_REASONS = ['off', 'limit', 'busy'] as const;
export type DeclineReason = (typeof DECLINE_REASONS)[number];

const nonce = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const secret = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const address = v.pipe(
  v.string(),
  v.maxLength(64),
  v.check((text) => parseIpEndpoint(text) !== undefined, 'not ip:port'),
);
const round = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_ROUNDS - 1));
const durationMs = v.pipe(v.number(), v.minValue(0), v.maxValue(60_000));
const nat = v.picklist(NAT_KINDS);

const introduction = {
  /** Names the attempt, and of two offers that cross the smaller one counts. */
  nonce,
  /** Who dials the sender proves by it that it is this peer. */
  secret,
  candidates: v.pipe(v.array(v.object({ kind: v.picklist(CANDIDATE_KINDS), address })), v.maxLength(MAX_CANDIDATES)),
  /** Shows to those on the same host, and to nobody else, that the sender is there too. */
  host: v.optional(secret),
  canPunch: v.boolean(),
};

const signal = v.variant('kind', [
  v.object({ kind: v.literal('offer'), ...introduction }),
  v.object({ kind: v.literal('answer'), to: nonce, ...introduction }),
  v.object({ kind: v.literal('decline'), to: nonce, reason: v.picklist(DECLINE_REASONS) }),
  v.object({ kind: v.literal('round'), to: nonce, round, isCrossed: v.boolean(), address, nat }),
  /** `tookMs`: between the round's arrival and this. */
  v.object({ kind: v.literal('ready'), to: nonce, round, address, nat, tookMs: durationMs }),
  /** `rttMs`: between the two ends, on the way these messages take. */
  v.object({ kind: v.literal('go'), to: nonce, round, rttMs: durationMs }),
  v.object({ kind: v.literal('fail'), to: nonce, round, reason: v.pipe(v.string(), v.maxLength(128)) }),
]);

export type Signal = v.InferOutput<typeof signal>;
export type SignalOf<K extends Signal['kind']> = Extract<Signal, { readonly kind: K }>;
export type Introduction = Omit<SignalOf<'offer'>, 'kind'>;
export type Candidate = Introduction['candidates'][number];

export function encodeSignal(message: Signal): Bytes {
  return encodeMessage(message);
}

/** Whole, or not at all. @throws SkeinError SKEIN_PROTOCOL */
export function decodeSignal(bytes: Bytes): Signal {
  const result = v.safeParse(signal, decodeMessage(bytes));
  if (result.success) return result.output;
  throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read path message: it does not match its form');
}
