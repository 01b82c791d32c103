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

/**
 * The head that goes on: what was verified is in it, and nothing that only looks like that; tokens that were refused are not.
 * @param others who look at services that the request names beside the one that was dialled: they have not been asked, so that what only
 *   they could vouch for goes no further
 */
export function toPassedHead(
  head: RequestHead,
  looked: Looked | undefined,
  others: readonly RequestAuthenticator[],
): RequestHead {
  const own = looked === undefined ? head : toOwnHead(head, looked);
  if (others.length === 0) return own;
  const isTheirs = (name: string): boolean => others.some((each) => each.isGuarded(name) || each.isLocation(name));
  return { ...own, fields: removeFields(own.fields, isTheirs) };
}

function toOwnHead(head: RequestHead, { authenticator, found }: Looked): RequestHead {
  if (typeof found === 'string') {
    return { ...head, fields: removeFields(head.fields, (name) => authenticator.isLocation(name)) };
  }
  const own = removeFields(head.fields, (name) => authenticator.isGuarded(name) || found.spent.includes(name));
  return own === head.fields && found.fields.length === 0 ? head : { ...head, fields: [...own, ...found.fields] };
}

/** Fields that trailers may not fill either; undefined: there are none. */
export function takenFields(
  looked: Looked | undefined,
  others: readonly RequestAuthenticator[],
): ((name: string) => boolean) | undefined {
  if (looked === undefined && others.length === 0) return undefined;
  return (name) => looked?.authenticator.isGuarded(name) === true || others.some((each) => each.isGuarded(name));
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
