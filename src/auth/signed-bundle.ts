/**
 * Signed bundle: which keys the issuer has, said by its anchor. The anchor is the key that a member knew before it knew any hub, by
 * its thumbprint in a join token; it stays in every bundle, so that whoever hands one on can neither add, nor keep, nor bring back a key.
 */

import { type IdentityKey, toThumbprint } from './key-pair.ts';
import { digestText, signStatement, verifyStatement } from './statement.ts';
import { anchorOf, type TrustBundle } from './trust-bundle.ts';

/**
 * Why a bundle is not taken over: it cannot be read; it carries no signature; the anchor has not signed it, or not this; it is older than the
 * one in use; it is another one under the same sequence.
 */
export type BundleRefusal = 'malformed' | 'unsigned' | 'forged' | 'rollback' | 'fork';

const TYPE = 'skein-bundle+jwt';

/** With the signature of `anchor`, which is to be among its `wit-svid` keys. */
export async function signBundle(bundle: TrustBundle, anchor: IdentityKey): Promise<TrustBundle> {
  const { keys, spiffe_sequence, spiffe_refresh_hint } = bundle;
  const said = { sequence: spiffe_sequence, digest: await digestOf(bundle) };
  const signature = await signStatement(anchor, TYPE, said);
  return { keys, spiffe_sequence, spiffe_refresh_hint, skein_signature: signature };
}

/** Why `bundle` is not that of the issuer whose anchor has the thumbprint `anchor`, or undefined. */
export async function whyNotSigned(bundle: TrustBundle, anchor: string): Promise<'unsigned' | 'forged' | undefined> {
  const { skein_signature: signature } = bundle;
  if (signature === undefined) return 'unsigned';
  const key = anchorOf(bundle);
  if (key === undefined || key.kid !== anchor || (await toThumbprint(key)) !== anchor) return 'forged';
  const claims = await verifyStatement(signature, TYPE, bundle);
  const isOfThis = claims?.sequence === bundle.spiffe_sequence && claims.digest === (await digestOf(bundle));
  return isOfThis ? undefined : 'forged';
}

/** Why `offered` may not take the place of `current`, whose issuer has the anchor `anchor`, or undefined. */
export async function whyNotNext(
  current: TrustBundle,
  offered: TrustBundle,
  anchor: string,
): Promise<BundleRefusal | undefined> {
  const why = await whyNotSigned(offered, anchor);
  if (why !== undefined) return why;
  if (offered.spiffe_sequence < current.spiffe_sequence) return 'rollback';
  // One that was never signed is followed by the first that is.
  if (offered.spiffe_sequence > current.spiffe_sequence || current.skein_signature === undefined) return undefined;
  return (await digestOf(offered)) === (await digestOf(current)) ? undefined : 'fork';
}

/** Of all that readers of the bundle use, in the order in which it stands there. */
function digestOf({ keys, spiffe_sequence, spiffe_refresh_hint }: TrustBundle): Promise<string> {
  const used = keys.map(({ kid, use, x, y }) => [kid, use, x, y]);
  return digestText(JSON.stringify([spiffe_sequence, spiffe_refresh_hint, used]));
}
