/** The regular expressions of a route, of whatever kind it is: where each stands, and what is wrong with it. */

import type { Issue } from './issue.ts';
import type { RegularExpressions } from './regular-expression.ts';

type Type = 'Exact' | 'PathPrefix' | 'RegularExpression';

interface Valued {
  readonly type: Type;
  readonly value: string;
}

/** What matches of all kinds have where a pattern may stand. */
interface Match {
  readonly path?: Valued;
  readonly method?: string | { readonly type: Type; readonly service?: string; readonly method?: string } | undefined;
  readonly headers: readonly Valued[];
  readonly queryParams?: readonly Valued[];
}

export function findPatternFaults(
  rules: readonly { readonly matches: readonly Match[] }[],
  { findFault }: RegularExpressions,
): Issue[] {
  const issues: Issue[] = [];
  const look = (type: Type, pattern: string | undefined, path: string): void => {
    const message = type === 'RegularExpression' && pattern ? findFault(pattern) : undefined;
    if (message !== undefined) issues.push({ path, message, rule: 'check' });
  };
  for (const [i, { matches }] of rules.entries()) {
    for (const [j, { path, method, headers, queryParams = [] }] of matches.entries()) {
      const at = `spec.rules[${i}].matches[${j}]`;
      if (path !== undefined) look(path.type, path.value, `${at}.path.value`);
      if (typeof method === 'object') {
        look(method.type, method.service, `${at}.method.service`);
        look(method.type, method.method, `${at}.method.method`);
      }
      for (const [k, { type, value }] of headers.entries()) look(type, value, `${at}.headers[${k}].value`);
      for (const [k, { type, value }] of queryParams.entries()) look(type, value, `${at}.queryParams[${k}].value`);
    }
  }
  return issues;
}
