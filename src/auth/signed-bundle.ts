/**
 * Signed bundle: which keys the issuer has, said by its anchor. The anchor is the key that a member knew before it knew any hub, by
 * its thumbprint in a join token; it stays in every bundle, so that whoever hands one on can neither add, nor keep, nor bring back a key.
 */

import { SkeinError } from '../core/errors.ts';
import { tryParseCompactJws } from './compact-jws.ts';
import { type IdentityKey, toThumbprint } from './key-pair.ts';
import { digestText, signStatement, verifyStatement } from './statement.ts';
import { anchorOf, type TrustBundle } from './trust-bundle.ts';
import { isCount, WIT_LIFETIME_MS } from './validity.ts';

/**
 * Why a bundle is not taken over: it cannot be read; it carries no signature; the anchor has not signed it, or not this; it is older than the
 * one in use; it is another one under the same sequence.
 */
export type BundleRefusal = 'malformed' | 'unsigned' | 'forged' | 'rollback' | 'fork';

/** A hub that issues signs it anew as often. */
export const BUNDLE_RESIGN_MS = 3_600_000;
/** As long as an SVID, so that a clock that is good enough for the one is for the other. */
export const BUNDLE_LIFE_MS = WIT_LIFETIME_MS;

const TYPE = 'skein-bundle+jwt';

/** With the signature of `anchor`, which is to be among its `wit-svid` keys. @param nowMs wall time, from which its life counts */
export async function signBundle(bundle: TrustBundle, anchor: IdentityKey, nowMs: number): Promise<TrustBundle> {
  const { keys, spiffe_sequence, spiffe_refresh_hint } = bundle;
  const untilMs = nowMs + BUNDLE_LIFE_MS;
  const said = { sequence: spiffe_sequence, digest: await digestOf(bundle), untilMs };
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

/** Until when it may be the newest one, wall time, as its signature says; 0 for one that does not. Believe it of what is signed. */
export function endOf({ skein_signature: signature }: TrustBundle): number {
  const untilMs = signature === undefined ? undefined : tryParseCompactJws(signature)?.claims.untilMs;
  return isCount(untilMs) ? untilMs : 0;
}

/** Is `offered` to take the place of `known`, where both are of one issuer? Whatever is signed is later than what never was. */
export function isLaterBundle(offered: TrustBundle, known: TrustBundle): boolean {
  if (known.skein_signature === undefined) return true;
  const ahead = offered.spiffe_sequence - known.spiffe_sequence;
  return ahead > 0 || (ahead === 0 && endOf(offered) > endOf(known));
}

/** What is said of a hub that issues, and so could have signed its bundle just now. */
export function bundleEnded(bundle: TrustBundle, nowMs: number): SkeinError {
  const [end, now] = [endOf(bundle), nowMs].map((ms) => new Date(ms).toISOString());
  return new SkeinError(
    'SKEIN_IDENTITY',
    `Cannot trust hub: the keys of the issuer that it shows were good until ${end}, and it is ${now} here; check the clock`,
    {
      details: {
        remedy:
          'Set the clock of this machine and that of the hub, with NTP. If both are right, somebody stands in for the hub with keys it had before.',
      },
    },
  );
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
