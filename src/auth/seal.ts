/** Seal: the issuer's word on what all resources of the mesh are at one revision. */

import { verifyStatement } from './statement.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { isCount } from './validity.ts';

export interface Seal {
  /** Number of the change that has led to it; 0 before the first. */
  readonly revision: number;
  /** Grows when an operator has declared that what the store holds is right, whatever was sealed before. */
  readonly era: number;
  /** Digest of the seal index. */
  readonly index: string;
  /** Wall time of the hub that has signed it. */
  readonly atMs: number;
  /** What else the issuer has said last at that time. */
  readonly latest?: LatestStatements | undefined;
}

/** By which number members know whether something is kept from them. */
export interface LatestStatements {
  /** Number of the list of revocations; 0: there is none. */
  readonly revocations: number;
  /** Sequence of the bundle. */
  readonly bundle: number;
}

/** Which came first; of one revision it is the same seal, signed again later. */
export function compareSeals(a: Seal, b: Seal): number {
  return a.era - b.era || a.revision - b.revision;
}

/** undefined: the anchor of `bundle` has not signed it. */
export async function verifySeal(token: string, bundle: TrustBundle): Promise<Seal | undefined> {
  const claims = await verifyStatement(token, 'skein-seal+jwt', bundle);
  if (claims === undefined) return undefined;
  const { revision, era, index, atMs, revocations = 0, bundle: sequence = 0 } = claims;
  if (!isCount(revision) || !isCount(era) || !isCount(atMs) || typeof index !== 'string') return undefined;
  if (!isCount(revocations) || !isCount(sequence)) return undefined;
  return { revision, era, index, atMs, latest: { revocations, bundle: sequence } };
}
