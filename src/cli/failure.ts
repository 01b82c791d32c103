/** A failure as the person at the terminal reads it: what, why, what to do; or as one JSON line. */

import { SkeinError } from '../core/errors.ts';
import type { ConfigIssue } from './config-issue.ts';
import { EXPLANATIONS } from './explanations.ts';
import { redact } from './log.ts';
import { type Painter, toPrintable } from './output.ts';

/** A chain of causes longer than this is cut: nobody reads further. */
const MAX_CAUSES = 5;

export function formatFailure(error: unknown, paint: Painter): string {
  const lines = [`${paint('red', 'error:')} ${toPrintable(messageOf(error))}${codeOf(error)}`];
  for (const { path, message } of issuesOf(error)) {
    lines.push(`  ${path === '' ? '' : `${paint('bold', toPrintable(path))}: `}${toPrintable(message)}`);
  }
  for (const cause of causesOf(error)) lines.push(`  ${paint('dim', 'cause:')} ${toPrintable(cause)}`);
  const remedy = remedyOf(error);
  if (remedy !== undefined) lines.push(`  ${paint('dim', 'remedy:')} ${toPrintable(remedy)}`);
  return `${lines.join('\n')}\n`;
}

export function toFailureFields(error: unknown): Record<string, unknown> {
  const issues = issuesOf(error);
  const causes = causesOf(error);
  return {
    ...(error instanceof SkeinError ? { code: error.code } : {}),
    message: messageOf(error),
    ...(causes.length > 0 ? { causes } : {}),
    ...(issues.length > 0 ? { issues } : {}),
    remedy: remedyOf(error),
  };
}

function messageOf(error: unknown): string {
  return redact(error instanceof Error ? error.message : String(error));
}

function codeOf(error: unknown): string {
  return error instanceof SkeinError ? ` (${error.code})` : '';
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  let at = error instanceof Error ? error.cause : undefined;
  while (at !== undefined && causes.length < MAX_CAUSES) {
    const message = messageOf(at);
    // Wrappers often repeat what they wrap.
    if (message !== '' && ![messageOf(error), ...causes].some((said) => said.endsWith(message))) causes.push(message);
    at = at instanceof Error ? at.cause : undefined;
  }
  return causes;
}

function issuesOf(error: unknown): readonly ConfigIssue[] {
  const issues = error instanceof SkeinError ? error.details.issues : undefined;
  if (!Array.isArray(issues)) return [];
  return issues.map((issue: Partial<ConfigIssue>) => ({
    path: String(issue.path ?? ''),
    message: String(issue.message ?? ''),
  }));
}

/** What the place that failed advises, or else what its code stands for. */
function remedyOf(error: unknown): string | undefined {
  if (!(error instanceof SkeinError)) return undefined;
  const own = error.details.remedy;
  return typeof own === 'string' ? own : EXPLANATIONS[error.code].fix;
}
