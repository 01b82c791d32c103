/** Everything that can be said about resources in files without a mesh: what is no YAML, what the hub would refuse, what is likely a mistake. */

import type { Issue } from '../catalog/issue.ts';
import { parseKind, parseManifest } from '../catalog/parse.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import { isRouteKind, type Route } from '../catalog/route.ts';
import { findWarnings } from '../catalog/warning.ts';
import { findUnreachable } from '../router/unreachable.ts';
import type { SourcedManifest } from './manifest.ts';
import { metadataOf } from './resource-name.ts';

export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `Kind/name`; empty where nothing could be read. */
  readonly resource: string;
  /** Path inside the resource. */
  readonly path: string;
  readonly message: string;
  /** Stable name of the rule. */
  readonly rule: string;
}

/** @param services `name.namespace` of those that there are; undefined when nobody says */
export function lint(sources: readonly SourcedManifest[], services?: ReadonlySet<string>): readonly Finding[] {
  const errors: Finding[] = [];
  const valid: { readonly source: SourcedManifest; readonly manifest: Manifest }[] = [];
  const seen = new Map<string, SourcedManifest>();
  for (const source of sources) {
    const parsed = parseManifest(source.manifest);
    if ('issues' in parsed) {
      errors.push(...parsed.issues.map((issue) => toFinding('error', source, issue)));
      continue;
    }
    const key = resourceKey(parsed.value);
    const before = seen.get(key);
    if (before === undefined) {
      seen.set(key, source);
      valid.push({ source, manifest: parsed.value });
    } else {
      const message = `is in ${before.source} as well`;
      errors.push(toFinding('error', source, { path: 'metadata.name', message, rule: 'repeated' }));
    }
  }
  const manifests = valid.map(({ manifest }) => manifest);
  const warnings = [...findWarnings(manifests, services), ...findShadowed(manifests)].flatMap(({ index, ...issue }) => {
    const found = valid[index];
    return found === undefined ? [] : [toFinding('warning', found.source, issue)];
  });
  const order = new Map([...new Set(sources.map(({ file }) => file))].map((file, i) => [file, i]));
  return [...errors, ...warnings].sort(
    (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column,
  );
}

function findShadowed(manifests: readonly Manifest[]): readonly (Issue & { readonly index: number })[] {
  const places = new Map<Route, number>();
  for (const [index, manifest] of manifests.entries()) {
    const parsed = isRouteKind(manifest.kind) ? parseKind(manifest) : undefined;
    if (parsed !== undefined && 'value' in parsed) places.set(parsed.value as Route, index);
  }
  return findUnreachable([...places.keys()]).map(({ route, path, by }) => ({
    index: places.get(route) ?? -1,
    path,
    message: `is never reached: ${by} takes all of its requests`,
    rule: path.endsWith(']') && path.includes('.matches') ? 'shadowed-match' : 'unreachable-rule',
  }));
}

function toFinding(severity: Finding['severity'], source: SourcedManifest, { path, message, rule }: Issue): Finding {
  const { kind, name } = metadataOf(source.manifest);
  const resource = kind === '' && name === '' ? '' : `${kind}/${name}`;
  return { severity, file: source.file, ...source.locate(path), resource, path, message, rule };
}
