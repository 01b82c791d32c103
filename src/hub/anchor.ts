/**
 * Trust anchor: the issuer that all hubs of one store are. A hub with another key would issue identities that nobody else
 * believes, so it does not start.
 */

import * as v from 'valibot';
import { SkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Store } from './store.ts';

export interface TrustAnchor {
  /** RFC 7638 thumbprint of the issuer's key. */
  readonly thumbprint: string;
  readonly trustDomain: string;
  /** The hub that was first, as operators find it: its URL, and its issuer's file there; empty without a folder. */
  readonly url: string;
  readonly file: string;
}

const KEY = 'hub/issuer';
const STORED = v.object({ thumbprint: v.string(), trustDomain: v.string(), url: v.string(), file: v.string() });

/** The anchor of the mesh in `store`; undefined before the first start. @throws SkeinError SKEIN_STORE */
export async function readAnchor(store: Store): Promise<TrustAnchor | undefined> {
  const entry = await store.get(KEY);
  if (entry === undefined) return undefined;
  const stored = v.safeParse(STORED, tryParseJson(entry.value));
  if (stored.success) return stored.output;
  throw new SkeinError('SKEIN_STORE', `Cannot start hub: "${KEY}" in its store is not readable`);
}

/** Makes `own` the anchor, or agrees with the one there is. @throws SkeinError SKEIN_CONFIG, SKEIN_STORE */
export async function claimAnchor(store: Store, own: TrustAnchor): Promise<void> {
  const written = await store.compareAndSet(KEY, 0, JSON.stringify(own));
  if (written !== undefined) return;
  const anchor = await readAnchor(store);
  if (anchor === undefined || anchor.thumbprint !== own.thumbprint) throw otherIssuer(anchor, own);
}

/** @param own without a thumbprint when the hub has no key yet */
export function otherIssuer(
  anchor: TrustAnchor | undefined,
  own: Pick<TrustAnchor, 'file'> & Partial<TrustAnchor>,
): SkeinError {
  const theirs = anchor === undefined ? 'another' : `"${anchor.thumbprint}"`;
  const ours = own.thumbprint === undefined ? 'this hub has none yet' : `this hub's is "${own.thumbprint}"`;
  const from = anchor?.file === undefined || anchor.file === '' ? 'the issuer.json' : `"${anchor.file}"`;
  const to = own.file === '' ? 'the folder given with --data' : `"${own.file}"`;
  return new SkeinError(
    'SKEIN_CONFIG',
    `Cannot start hub: the mesh in its store has the issuer ${theirs}, and ${ours}`,
    {
      details: {
        remedy: `Copy ${from} of the hub at ${anchor?.url ?? 'its first address'} to ${to} (mode 0600), and start again.`,
      },
    },
  );
}
