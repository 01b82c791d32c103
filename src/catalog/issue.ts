/** What is wrong with a resource: where, what, and by which rule; a parser lists all of it, and then refuses the whole. */

import type { BaseIssue } from 'valibot';
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

/** More are not listed: who sent so much that is wrong has to begin anew anyway. */
const MAX_ISSUES = 256;

/** What a schema found, with `root` before each path. */
export function toIssues(problems: readonly BaseIssue<unknown>[], root: string): Issue[] {
  const issues = problems.slice(0, MAX_ISSUES).map((problem) => toIssue(problem, root));
  const more = problems.length - issues.length;
  if (more > 0) issues.push({ path: root, message: `has ${more} more issues`, rule: 'too-many' });
  return issues;
}

function toIssue(problem: BaseIssue<unknown>, root: string): Issue {
  const path = (problem.path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('');
  const isUnknown = problem.type === 'strict_object' && problem.expected === 'never';
  return {
    path: root === '' ? path.replace(/^\./, '') : root + path,
    message: isUnknown ? 'is not a member that this version knows' : problem.message,
    rule: isUnknown ? 'unknown-member' : problem.type,
  };
}

/** @throws SkeinError SKEIN_RESOURCE_INVALID with every issue in its details */
export function valueOrThrow<T>(parsed: Parsed<T>, what: string): T {
  if ('value' in parsed) return parsed.value;
  const lines = parsed.issues.map(({ path, message }) => `${path === '' ? 'resource' : path}: ${message}`);
  throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot accept ${what}: ${lines.join('; ')}`, {
    details: { issues: parsed.issues },
  });
}
