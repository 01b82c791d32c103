/** From the claims of a platform's token to a name in the mesh: which tokens are meant, and templates of ids and services. */

import { SkeinError } from '../core/errors.ts';
import type { Claims } from './issuer-token.ts';

/** Values of which a claim must have one: exact, or a beginning followed by `*`. */
export type ClaimConditions = Readonly<Record<string, string | readonly string[]>>;

/** Text with at most one `{claim}` in it. */
export interface Template {
  readonly text: string;
  readonly claim: string | undefined;
}

const PLACEHOLDER = /\{([^{}]*)\}/g;
/** One segment of a SPIFFE id: no slash, so that a value cannot reach into its neighbours. */
const VALUE = /^[a-zA-Z0-9._-]{1,253}$/;

/**
 * At most one claim, because `{a}-{b}` would give `x-y` and `z` the name of `x` and `y-z`.
 * @throws SkeinError SKEIN_CONFIG
 */
export function parseTemplate(text: string): Template {
  const claims = [...text.matchAll(PLACEHOLDER)].map(([, name = '']) => name);
  const [claim] = claims;
  const rest = text.replace(PLACEHOLDER, '');
  if (claims.length > 1 || claim === '' || /[{}]/.test(rest) || !/^[a-zA-Z0-9._-]*$/.test(rest)) {
    throw new SkeinError(
      'SKEIN_CONFIG',
      `Cannot use "${text}": expected letters, digits, ".", "_", "-" and one {claim}`,
    );
  }
  return { text, claim };
}

/** undefined where the claims give no value that may stand in a name. */
export function fillTemplate({ text, claim }: Template, claims: Claims): string | undefined {
  if (claim === undefined) return text;
  const value = findClaim(claims, claim);
  if (typeof value !== 'string' || !VALUE.test(value)) return undefined;
  const filled = text.replace(PLACEHOLDER, () => value);
  return filled === '.' || filled === '..' ? undefined : filled;
}

export function meetsConditions(conditions: ClaimConditions, claims: Claims): boolean {
  return Object.entries(conditions).every(([name, wanted]) => {
    const value = findClaim(claims, name);
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.some((each) => isScalar(each) && [wanted].flat().some((pattern) => matches(pattern, String(each))));
  });
}

function matches(pattern: string, value: string): boolean {
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/**
 * The claim at a path with dots, where names may hold dots themselves: `kubernetes.io.namespace` is `namespace` of
 * `kubernetes.io`. Where there are two ways to read it there is none: a token must not choose between them.
 */
export function findClaim(claims: Claims, path: string): unknown {
  const found = readings(claims, path.split('.'));
  return found.length === 1 ? found[0] : undefined;
}

function readings(value: unknown, path: readonly string[]): unknown[] {
  if (path.length === 0) return [value];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return path.flatMap((_, index) => {
    const name = path.slice(0, index + 1).join('.');
    return Object.hasOwn(value, name) ? readings((value as Claims)[name], path.slice(index + 1)) : [];
  });
}
