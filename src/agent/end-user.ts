/** The end user of a request on its way to the application: what is taken out, what is told, what a policy may believe. */

import type { Claims } from '../auth/match.ts';
import type { Authentication, EndUser, RequestAuthenticator } from '../auth/request-authenticator.ts';
import { removeFields } from '../http/fields.ts';
import type { Fields, RequestHead } from '../http/head.ts';

/** What was found out about one request, and by whom. */
export interface Looked {
  readonly authenticator: RequestAuthenticator;
  readonly found: Authentication;
}

/** The head that goes on: what was verified is in it, and nothing that only looks like that; tokens that were refused are not. */
export function toPassedHead(head: RequestHead, { authenticator, found }: Looked): RequestHead {
  if (typeof found === 'string') {
    return { ...head, fields: removeFields(head.fields, (name) => authenticator.isLocation(name)) };
  }
  const own = removeFields(head.fields, (name) => authenticator.isOutput(name) || found.spent.includes(name));
  return own === head.fields && found.fields.length === 0 ? head : { ...head, fields: [...own, ...found.fields] };
}

/** Fields with a token that the application does not see, for policies that ask whether they were there. */
export function spentFields({ fields }: RequestHead, { found }: Looked): Fields {
  if (typeof found === 'string' || found.spent.length === 0) return [];
  return removeFields(fields, (name) => !found.spent.includes(name));
}

/**
 * What policies may believe at a service that `current` looks at now: nothing is known where nobody looks, or where it does not believe
 * any more what was believed.
 */
export function claimsFor(user: EndUser | undefined, current: RequestAuthenticator | undefined): Claims | undefined {
  return user === undefined || current?.vouches(user) !== true ? undefined : user.claims;
}
