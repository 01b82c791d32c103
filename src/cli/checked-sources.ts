/** Manifests of files as the hub would take them: each valid by itself, none given twice. */

import type { Issue } from '../catalog/issue.ts';
import { parseManifest } from '../catalog/parse.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import { configError } from './config-issue.ts';
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

interface CheckedSources {
  readonly valid: readonly { readonly source: SourcedManifest; readonly manifest: Manifest }[];
  readonly errors: readonly Finding[];
}

export function checkSources(sources: readonly SourcedManifest[]): CheckedSources {
  const valid: { readonly source: SourcedManifest; readonly manifest: Manifest }[] = [];
  const errors: Finding[] = [];
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
  return { valid, errors };
}

/** @throws SkeinError SKEIN_CONFIG with every issue of every file and its line */
export function parseSources(sources: readonly SourcedManifest[]): readonly Manifest[] {
  const { valid, errors } = checkSources(sources);
  if (errors.length === 0) return valid.map(({ manifest }) => manifest);
  const issues = errors.map(({ file, line, resource, path, message }) => ({
    path: [`${file}:${line}`, resource, path].filter((part) => part !== '').join(': '),
    message,
  }));
  throw configError([...new Set(sources.map(({ file }) => file))].join(', '), issues);
}

export function toFinding(
  severity: Finding['severity'],
  source: SourcedManifest,
  { path, message, rule }: Issue,
): Finding {
  const { kind, name } = metadataOf(source.manifest);
  const resource = kind === '' && name === '' ? '' : `${kind}/${name}`;
  return { severity, file: source.file, ...source.locate(path), resource, path, message, rule };
}
