/** A question to the admin port: what would happen to this request. */

import * as v from 'valibot';
import type { Agent } from '../agent/agent.ts';
import { type MemberExplanation, tryParseCaller } from '../agent/explain.ts';
import { explainMember } from '../agent/explain-request.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';

const MAX_FIELDS = 256;

const schema = v.strictObject({
  method: v.pipe(v.string(), v.regex(/^[!#$%&'*+.^_`|~\w-]{1,64}$/)),
  authority: v.pipe(v.string(), v.maxLength(300)),
  path: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{0,65536}$/)),
  /** Flat name/value list; names lower case. */
  fields: v.pipe(v.array(v.string()), v.maxLength(MAX_FIELDS)),
  /** SPIFFE id, or `account[.namespace]`. @default the sidecar itself */
  from: v.optional(v.string()),
  /** Of an end user whose token is believed, by name. @default no token comes */
  claims: v.optional(v.record(v.string(), v.pipe(v.array(v.string()), v.maxLength(256)))),
});

/** @throws SkeinError SKEIN_BAD_REQUEST */
export function answerExplain(agent: Agent, query: unknown): Promise<MemberExplanation> {
  const parsed = v.safeParse(schema, query);
  if (!parsed.success) {
    throw new SkeinError(
      'SKEIN_BAD_REQUEST',
      'Cannot explain: expected method, authority, path and fields of a request',
    );
  }
  const { from, claims, ...head } = parsed.output;
  const caller = from === undefined ? undefined : parseCaller(from, agent.id);
  return explainMember(agent, { ...head, scheme: 'http', upgrade: undefined, service: '' }, caller, claims);
}

function parseCaller(text: string, { trustDomain, namespace = '' }: SpiffeId): SpiffeId {
  const caller = tryParseCaller(text, trustDomain, namespace);
  if (caller !== undefined) return caller;
  throw new SkeinError(
    'SKEIN_BAD_REQUEST',
    'Cannot explain: the caller is neither a SPIFFE id nor account[.namespace]',
  );
}
