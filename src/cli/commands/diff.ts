/** `skein diff`: what applying files would change in the mesh. */

import { findDifferences } from '../../catalog/difference.ts';
import { parseManifest } from '../../catalog/parse.ts';
import { type Manifest, resourceKey } from '../../catalog/resource.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import { configError } from '../config.ts';
import type { CommandContext } from '../context.ts';
import type { ConfigIssue } from '../environment.ts';
import { EXIT } from '../exit-code.ts';
import type { SourcedManifest } from '../manifest.ts';
import { formatJson, toPrintable } from '../output.ts';
import { formatResource, metadataOf } from '../resource-name.ts';
import { FILE_OPTION, NAMESPACE_OPTION, readSources } from '../sources.ts';
import { toList } from './get.ts';

interface Comparison {
  /** `Kind/namespace/name` */
  readonly key: string;
  readonly status: 'same' | 'new' | 'differs';
  readonly differences: ReturnType<typeof findDifferences>;
}

export const diff: CommandSpec = {
  name: 'diff',
  summary: 'compare files of routes and policies with the mesh',
  description:
    'Compared is what they mean: order of members, comments, and values that are defaults anyway make no difference.\n' +
    'Exit code 0: the mesh is as the files say. 1: it is not. Files that cannot be read, or would be refused: 2.',
  args: [{ form: '[files...]', description: 'the same as --file' }],
  options: [
    FILE_OPTION,
    NAMESPACE_OPTION,
    {
      flags: '-o, --output <form>',
      description: 'how to print',
      choices: ['text', 'json'],
      fallback: 'text',
      env: false,
    },
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein diff -f routes.yaml', 'what `skein apply` would change'],
    ['skein diff -f routes.yaml || skein apply -f routes.yaml', 'apply only what is not there yet'],
  ],
  async run(context) {
    const wanted = parseAll(await readSources(context, 'compare'));
    const admin = await openAdmin(context);
    const present = new Map(toRecords(toList(await admin.get('/v1/resources'))).flatMap(toEntry));
    const compared = wanted.map((manifest) => compare(manifest, present.get(resourceKey(manifest))));
    const changed = compared.filter(({ status }) => status !== 'same');
    if (context.input.text('output') === 'json') await context.print(formatJson(changed));
    else await context.print(changed.map((each) => format(each, context)).join(''));
    return changed.length === 0 ? EXIT.done : EXIT.other;
  },
};

/** @throws SkeinError SKEIN_CONFIG with every issue of every file */
function parseAll(sources: readonly SourcedManifest[]): readonly Manifest[] {
  const manifests: Manifest[] = [];
  const issues: ConfigIssue[] = [];
  for (const { file, manifest, locate } of sources) {
    const parsed = parseManifest(manifest);
    if ('value' in parsed) {
      manifests.push(parsed.value);
      continue;
    }
    const { kind, name } = metadataOf(manifest);
    for (const { path, message } of parsed.issues) {
      const place = `${file}:${locate(path).line}: ${kind}/${name}`;
      issues.push({ path: path === '' ? place : `${place}: ${path}`, message });
    }
  }
  if (issues.length > 0) throw configError([...new Set(sources.map(({ file }) => file))].join(', '), issues);
  return manifests;
}

function toEntry(manifest: Readonly<Record<string, unknown>>): [string, Manifest][] {
  const parsed = parseManifest(manifest);
  return 'value' in parsed ? [[resourceKey(parsed.value), parsed.value]] : [];
}

function compare(wanted: Manifest, present: Manifest | undefined): Comparison {
  const key = resourceKey(wanted);
  if (present === undefined) return { key, status: 'new', differences: [] };
  const differences = findDifferences(present, wanted);
  return { key, status: differences.length === 0 ? 'same' : 'differs', differences };
}

function format({ key, status, differences }: Comparison, { paint }: CommandContext): string {
  const title = paint('bold', formatResource(key));
  if (status === 'new') return `${title}: not in the mesh\n`;
  const lines = differences.map(({ path, before, after }) => {
    const [old, now] = [show(before), show(after)];
    return `  ${toPrintable(path)}: ${paint('red', old)} → ${paint('green', now)}\n`;
  });
  return `${title}:\n${lines.join('')}`;
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : toPrintable(JSON.stringify(value));
}
