/** Paths with a part replaced, for URLRewrite and RequestRedirect. The query stays, and so does every byte that is not replaced. */

import type { PathModifier } from '../../catalog/http-filter.ts';

/**
 * @param prefix the prefix that the rule matches; a slash at its end, or at that of its replacement, means nothing
 * @returns request path with query in, the same with the part replaced out
 */
export function compilePathModifier(modifier: PathModifier, prefix: string): (path: string) => string {
  if (modifier.type === 'ReplaceFullPath') return (path) => modifier.replaceFullPath + queryOf(path);
  const replacement = withoutLastSlash(modifier.replacePrefixMatch);
  const matched = withoutLastSlash(prefix).length;
  return (path) => {
    const query = queryOf(path);
    const rest = path.slice(matched, path.length - query.length);
    return (replacement + rest || '/') + query;
  };
}

function withoutLastSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** With its question mark; empty when there is none. */
function queryOf(path: string): string {
  const mark = path.indexOf('?');
  return mark < 0 ? '' : path.slice(mark);
}

export function describePathModifier(modifier: PathModifier, prefix: string): string {
  return modifier.type === 'ReplaceFullPath'
    ? `path ${modifier.replaceFullPath}`
    : `prefix ${prefix} by "${modifier.replacePrefixMatch}"`;
}
