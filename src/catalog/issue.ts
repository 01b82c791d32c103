/** What is wrong with a resource: where, what, and by which rule; a parser lists all of it, and then refuses the whole. */

import { SkeinError } from '../core/errors.ts';

export interface Issue {
  /** Path inside the resource, `spec.allow[0].to[1].paths[0]`; empty for the whole. */
  readonly path: string;
  readonly message: string;
  /** Stable name of the rule that was broken, for programs: "unknown-member", "not-a-label", … */
  readonly rule: string;
}

/** Either the value, or at least one issue. */
export type Parsed<T> = { readonly value: T } | { readonly issues: readonly Issue[] };

/** @throws SkeinError SKEIN_RESOURCE_INVALID with every issue in its details */
export function valueOrThrow<T>(parsed: Parsed<T>, what: string): T {
  if ('value' in parsed) return parsed.value;
  const lines = parsed.issues.map(({ path, message }) => `${path === '' ? 'resource' : path}: ${message}`);
  throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot accept ${what}: ${lines.join('; ')}`, {
    details: { issues: parsed.issues },
  });
}
