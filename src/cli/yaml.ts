/** YAML text to plain values: line and column of what is none, and a bound on what aliases may grow to. */

import { LineCounter, parseAllDocuments, stringify } from 'yaml';
import type { ConfigIssue } from './environment.ts';

/** A document that expands the same alias over and over is refused beyond this count. */
const MAX_ALIASES = 100;

/** The documents of a text, those of comments alone left out; or what is wrong with it. */
export function parseYaml(
  content: string,
): { readonly values: readonly unknown[] } | { readonly issues: ConfigIssue[] } {
  const lineCounter = new LineCounter();
  // A key that is a list or a mapping becomes a text, which no schema knows: nobody needs a warning of it on stderr.
  const options = { lineCounter, uniqueKeys: true, prettyErrors: false, logLevel: 'error' } as const;
  const parsed = parseAllDocuments(content, options);
  // Of an empty text it gives an object instead.
  const documents = Array.isArray(parsed) ? parsed : [];
  const issues = documents
    .flatMap(({ errors }) => errors)
    .map(({ message, pos }) => {
      const { line, col } = lineCounter.linePos(pos[0]);
      return { path: `line ${line}, column ${col}`, message };
    });
  if (issues.length > 0) return { issues };
  try {
    const values = documents.map((document): unknown => document.toJS({ maxAliasCount: MAX_ALIASES }));
    return { values: values.filter((value) => value !== null && value !== undefined) };
  } catch (error) {
    return { issues: [{ path: '', message: error instanceof Error ? error.message : String(error) }] };
  }
}

export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
