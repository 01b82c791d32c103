/** Questions to the admin port about bearer tokens: one for an audience, and whether one that was shown is good. */

import * as v from 'valibot';
import type { Agent } from '../agent/agent.ts';
import { SkeinError } from '../core/errors.ts';

const audience = v.pipe(v.string(), v.nonEmpty(), v.maxLength(512));
const wanted = v.strictObject({ audience });
const shown = v.strictObject({ token: v.pipe(v.string(), v.maxLength(16_384)), audience });

/** @throws SkeinError SKEIN_BAD_REQUEST, SKEIN_HUB_UNREACHABLE, SKEIN_LIMIT */
export async function answerToken(agent: Agent, query: unknown): Promise<object> {
  const parsed = v.safeParse(wanted, query);
  if (!parsed.success) throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot get token: expected an audience');
  const { token, expiresAtMs } = await agent.token(parsed.output.audience);
  return { token, expiresAt: new Date(expiresAtMs).toISOString() };
}

/** @throws SkeinError SKEIN_BAD_REQUEST, SKEIN_IDENTITY */
export async function answerVerifyToken(agent: Agent, query: unknown): Promise<object> {
  const parsed = v.safeParse(shown, query);
  if (!parsed.success)
    throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot verify token: expected a token and an audience');
  const { id, expiresAtMs } = await agent.verifyToken(parsed.output.token, parsed.output.audience);
  return { id: id.uri, expiresAt: new Date(expiresAtMs).toISOString() };
}
