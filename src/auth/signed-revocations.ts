/** Signed revocations: the whole list under its number, said by the issuer, so that nobody who hands it on can add to it or take from it. */

import type { Revocation, RevocationList } from './revocation.ts';
import { digestText, type SignStatement, verifyStatement } from './statement.ts';
import type { TrustBundle } from './trust-bundle.ts';

/** A list as it is kept and handed on. */
export interface SignedRevocations extends RevocationList {
  /** The issuer's word on number and entries. */
  readonly head: string;
}

/** Why a list is not believed: nobody has signed it, or the issuer has not; it is another one under the number of one that is known. */
export type RevocationsRefusal = 'unsigned' | 'forged' | 'fork';

const TYPE = 'skein-revocations+jwt';

/** @param sign as the issuer signs statements */
export async function signRevocations(
  { number, entries }: RevocationList,
  sign: SignStatement,
): Promise<SignedRevocations> {
  return { number, entries, head: await sign(TYPE, { number, digest: await digestOf(entries) }) };
}

/** Why the issuer of `bundle` has not said this, or undefined. */
export async function whyNotSaid(
  { number, entries, head }: RevocationList & { readonly head?: string | undefined },
  bundle: TrustBundle,
): Promise<RevocationsRefusal | undefined> {
  if (head === undefined) return 'unsigned';
  const claims = await verifyStatement(head, TYPE, bundle);
  return claims?.number === number && claims.digest === (await digestOf(entries)) ? undefined : 'forged';
}

/** Do two lists of one number say the same? */
export async function areSameEntries(a: readonly Revocation[], b: readonly Revocation[]): Promise<boolean> {
  return (await digestOf(a)) === (await digestOf(b));
}

function digestOf(entries: readonly Revocation[]): Promise<string> {
  return digestText(
    JSON.stringify(entries.map(({ id, key, joinedUntilMs }) => [id, key ?? null, joinedUntilMs ?? null])),
  );
}
