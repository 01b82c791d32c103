/** Manifests that a command is given as files: the options that name them, and how people know one among them again. */

import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import { asRecord } from './admin-client.ts';
import type { CommandContext } from './context.ts';
import type { OptionSpec } from './input.ts';
import type { SourcedManifest } from './manifest.ts';
import { metadataOf } from './resource-name.ts';

export const FILE_OPTION: OptionSpec = {
  flags: '-f, --file <path>',
  description: 'YAML or JSON with one or several documents; - reads stdin',
  list: true,
  env: false,
};

/** Of commands that tell what policies would decide. */
export const CLAIM_OPTION: OptionSpec = {
  flags: '--claim <claim>',
  description: 'of an end user whose token is believed, name=value; without it no token comes',
  list: true,
  env: false,
};

export const NAMESPACE_OPTION: OptionSpec = {
  flags: '-n, --namespace <name>',
  description: 'namespace of resources that name none',
  fallback: DEFAULT_NAMESPACE,
};

/** Every manifest of `--file` and of the arguments, in a namespace. @throws SkeinError SKEIN_CONFIG when there is none */
export async function readSources(context: CommandContext, command: string): Promise<readonly SourcedManifest[]> {
  const paths = sourcePaths(context, command);
  const sources: SourcedManifest[] = [];
  for (const path of paths) sources.push(...(await readSource(context, path)));
  if (sources.length === 0) throw new SkeinError('SKEIN_CONFIG', `Cannot ${command} ${paths.join(', ')}: no document`);
  return sources;
}

/** The files that were named. @throws SkeinError SKEIN_CONFIG when there is none */
export function sourcePaths({ input }: CommandContext, command: string): readonly string[] {
  const paths = [...(input.list('file') ?? []), ...input.args];
  if (paths.length === 0) throw new SkeinError('SKEIN_CONFIG', `Cannot ${command}: --file is missing`);
  return paths;
}

/** The manifests of one file. @throws SkeinError SKEIN_CONFIG */
export async function readSource(context: CommandContext, path: string): Promise<readonly SourcedManifest[]> {
  const namespace = context.input.text('namespace') ?? DEFAULT_NAMESPACE;
  const { readManifests } = await import('./manifest.ts');
  const sources = await readManifests(context, path);
  return sources.map((source) => ({ ...source, manifest: withNamespace(source.manifest, namespace) }));
}

function withNamespace(manifest: unknown, namespace: string): unknown {
  const fields = asRecord(manifest);
  // What is no manifest goes as it is: its parser says what is wrong with it.
  if (Object.keys(fields).length === 0) return manifest;
  return { ...fields, metadata: { namespace, ...asRecord(fields.metadata) } };
}

/** The hub counts the manifests of a call, `[1].spec.…`; a person knows them by file and name. */
export function inWordsOfFiles(thrown: unknown, sources: readonly SourcedManifest[]): unknown {
  const issues = thrown instanceof SkeinError ? thrown.details.issues : undefined;
  if (!(thrown instanceof SkeinError) || !Array.isArray(issues)) return thrown;
  const named = issues.map((issue: unknown) => {
    const { path, resource, ...rest } = asRecord(issue);
    if (typeof resource === 'string') return { ...rest, path: `${resource} in the mesh: ${path}` };
    const [, index = '0', inside = ''] = /^(?:\[(\d+)\]\.?)?(.*)$/s.exec(String(path ?? '')) ?? [];
    const found = sources[Number(index)];
    if (found === undefined) return issue;
    const { kind, name } = metadataOf(found.manifest);
    return { ...rest, path: `${found.source}: ${kind}/${name}${inside === '' ? '' : `: ${inside}`}` };
  });
  return new SkeinError(thrown.code, thrown.message, {
    cause: thrown.cause,
    details: { ...thrown.details, issues: named },
  });
}

/** Of a policy whose tests say what shall stay allowed or denied; not to be kept out of an emergency by them. */
export const IGNORE_TESTS_OPTION: OptionSpec = {
  flags: '--ignore-tests',
  description: 'although tests of policies fail: it is done, and the hub logs which',
  env: false,
};
