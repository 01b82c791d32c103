/**
 * YAML text to plain values: line and column of what is none, and a bound on what aliases may grow to. The only door to yaml, opened when
 * there is such a text: a sidecar without one does without five megabytes.
 */

import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseAllDocuments, stringify } from 'yaml';
import type { ConfigIssue } from './config-issue.ts';

/** A document that expands the same alias over and over is refused beyond this count. */
const MAX_ALIASES = 100;

/** Both from 1. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

/** Where in the text the value at `spec.rules[0].name` is written or, when nothing is there, what is nearest around it. */
export type Locate = (path: string) => TextPlace;

export interface YamlDocument {
  readonly value: unknown;
  readonly locate: Locate;
}

/** What is no YAML, and where. */
export interface YamlIssue extends ConfigIssue {
  readonly place: TextPlace | undefined;
}

/** The values of a text, those of comments alone left out; or what is wrong with it. */
export function parseYaml(
  content: string,
): { readonly values: readonly unknown[] } | { readonly issues: readonly YamlIssue[] } {
  const parsed = parseYamlDocuments(content);
  return 'issues' in parsed ? parsed : { values: parsed.documents.map(({ value }) => value) };
}

/** The same with the places of values. */
export function parseYamlDocuments(
  content: string,
): { readonly documents: readonly YamlDocument[] } | { readonly issues: readonly YamlIssue[] } {
  const lineCounter = new LineCounter();
  // A key that is a list or a mapping becomes a text, which no schema knows: nobody needs a warning of it on stderr.
  const options = { lineCounter, uniqueKeys: true, prettyErrors: false, logLevel: 'error' } as const;
  const parsed = parseAllDocuments(content, options);
  // Of an empty text it gives an object instead.
  const documents = Array.isArray(parsed) ? parsed : [];
  const placeAt = (offset: number): TextPlace => {
    const { line, col } = lineCounter.linePos(offset);
    return { line, column: col };
  };
  const issues = documents
    .flatMap(({ errors }) => errors)
    .map(({ message, pos }) => {
      const place = placeAt(pos[0]);
      return { path: `line ${place.line}, column ${place.column}`, message, place };
    });
  if (issues.length > 0) return { issues };
  try {
    const read = documents.map(
      (document): YamlDocument => ({
        value: document.toJS({ maxAliasCount: MAX_ALIASES }),
        locate: (path) => placeAt(offsetOf(document, path)),
      }),
    );
    return { documents: read.filter(({ value }) => value !== null && value !== undefined) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { issues: [{ path: '', message, place: undefined }] };
  }
}

export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}

/** Of a member its key, of an item its beginning. */
function offsetOf({ contents }: Document, path: string): number {
  let node: unknown = contents;
  let offset = startOf(node) ?? 0;
  for (const [, name, index] of path.matchAll(/([^.[\]]+)|\[(\d+)\]/g)) {
    const next = index === undefined ? memberOf(node, name ?? '') : isSeq(node) ? node.items[Number(index)] : undefined;
    if (next === undefined) return offset;
    offset = startOf(isPair(next) ? next.key : next) ?? offset;
    node = isPair(next) ? next.value : next;
  }
  return offset;
}

function memberOf(node: unknown, name: string): unknown {
  return isMap(node) ? node.items.find(({ key }) => isScalar(key) && String(key.value) === name) : undefined;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
