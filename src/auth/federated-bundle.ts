/** Bundles of other trust domains: what of them is of use here, and whether one may take the place of another. */

import type { FederatedKey } from '../catalog/federated-trust-domain.ts';
import { SkeinError } from '../core/errors.ts';
import { parseKeySet } from './key-set.ts';

export interface FederatedBundle {
  /** Those that sign JWT-SVIDs; none: nothing of that domain is believed. */
  readonly keys: readonly FederatedKey[];
  readonly spiffe_sequence: number;
}

export interface OfferedBundle extends FederatedBundle {
  /** When its publisher wants to be asked again; undefined: it does not say. */
  readonly refreshHintSeconds: number | undefined;
}

const MAX_KEYS = 100;
const MEMBERS = ['kty', 'use', 'kid', 'alg', 'crv', 'x', 'y', 'n', 'e'] as const;

/**
 * Keys of other kinds and uses are left out, as the standard asks (SPIFFE Trust Domain and Bundle §4.2.1); one of ours that is malformed
 * verifies nothing. A list that is empty is an answer: its publisher has taken back everything.
 * @throws SkeinError SKEIN_IDENTITY
 */
export function parseFederatedBundle(value: unknown): OfferedBundle {
  const { keys, spiffe_sequence: sequence = 0, spiffe_refresh_hint: hint } = Object(value) as Record<string, unknown>;
  if (!Array.isArray(keys)) throw refused('it has no list of keys');
  if (keys.length > MAX_KEYS) throw refused('it has too many keys');
  // Beyond 2^53 neighbours are one number here: what is as new is taken, so that nothing stands still.
  if (!isCount(sequence) || (hint !== undefined && !isCount(hint)))
    throw refused('its sequence or hint is not a count');
  const isFor = (use: unknown): boolean => use === 'jwt-svid';
  const usable = parseKeySet({ keys }, { isFor });
  const kept = keys.flatMap((entry: Readonly<Record<string, unknown>>) => {
    if (!isFor(entry.use) || typeof entry.kid !== 'string' || usable.find(entry.kid) === undefined) return [];
    return [
      Object.fromEntries(MEMBERS.flatMap((name) => (name in entry ? [[name, entry[name]]] : []))) as FederatedKey,
    ];
  });
  return { keys: kept, spiffe_sequence: sequence, refreshHintSeconds: hint };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot read bundle: ${state}`);
}
