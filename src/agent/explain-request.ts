/** What would happen to a request of a member, by all that it knows. */

import type { Claims } from '../auth/match.ts';
import { namespaceOf } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { RequestHead } from '../http/head.ts';
import { explainDispatch } from '../router/explain.ts';
import type { Agent } from './agent.ts';
import { addVerdicts, findClaimed, type MemberExplanation } from './explain.ts';
import { toOutboundHead } from './outbound.ts';

/**
 * What would happen to a request of `caller`, by default the member itself, and why; with `claims` of an end user, or without a token.
 * Nothing is sent.
 * @throws SkeinError SKEIN_BAD_REQUEST for callers of another namespace, whose routes are not known here
 */
export async function explainMember(
  agent: Agent,
  head: RequestHead,
  caller: SpiffeId = agent.id,
  claims?: Claims,
): Promise<MemberExplanation> {
  const { clock, dispatcher, here, identity, mirror, services } = agent;
  const { namespace } = identity;
  if (caller.namespace !== namespace) {
    const state = `routes hold here for callers of namespace "${namespace}"; ask a sidecar of theirs`;
    throw new SkeinError('SKEIN_BAD_REQUEST', `Cannot explain: ${state}`);
  }
  const explained = await explainDispatch(dispatcher, toOutboundHead(head, clock), namespace, here);
  const known = new Set([...services.all()].map(({ service }) => namespaceOf(service)));
  return addVerdicts(
    explained,
    caller,
    (space) => (known.has(space) ? mirror.judge : undefined),
    claims,
    (backend) => findClaimed(backend, (service) => mirror.endpoints(service)),
  );
}
