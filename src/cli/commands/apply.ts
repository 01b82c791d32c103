/** `skein apply`: routes and policies from files to the hub. */

import { DEFAULT_NAMESPACE } from '../../catalog/service.ts';
import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { asRecord } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import type { OptionSpec } from '../input.ts';
import { readManifests, type SourcedManifest } from '../manifest.ts';
import { metadataOf } from '../resource-name.ts';

export const FILE_OPTION: OptionSpec = {
  flags: '-f, --file <path>',
  description: 'YAML or JSON with one or several documents; - reads stdin',
  list: true,
  env: false,
};

export const NAMESPACE_OPTION: OptionSpec = {
  flags: '-n, --namespace <name>',
  description: 'namespace of resources that name none',
  fallback: DEFAULT_NAMESPACE,
};

export const apply: CommandSpec = {
  name: 'apply',
  summary: 'create or replace routes and policies',
  args: [{ form: '[files...]', description: 'the same as --file' }],
  options: [FILE_OPTION, NAMESPACE_OPTION, ...ADMIN_OPTIONS],
  examples: [
    ['skein apply -f policies.yaml', 'from a file'],
    ['cat *.yaml | skein apply -f -', 'from stdin'],
  ],
  async run(context) {
    const namespace = context.input.text('namespace') ?? DEFAULT_NAMESPACE;
    const paths = [...(context.input.list('file') ?? []), ...context.input.args];
    if (paths.length === 0) throw new SkeinError('SKEIN_CONFIG', 'Cannot apply: --file is missing');
    const manifests: SourcedManifest[] = [];
    for (const path of paths) manifests.push(...(await readManifests(context, path)));
    if (manifests.length === 0) throw new SkeinError('SKEIN_CONFIG', `Cannot apply ${paths.join(', ')}: no document`);
    const admin = await openAdmin(context);
    const answer = await admin
      .post(
        '/v1/resources',
        manifests.map(({ manifest }) => withNamespace(manifest, namespace)),
      )
      .catch((thrown) => {
        throw inWordsOfFiles(thrown, manifests, namespace);
      });
    await context.print(describe(manifests, namespace, answer));
    return EXIT.done;
  },
};

function withNamespace(manifest: unknown, namespace: string): unknown {
  const fields = asRecord(manifest);
  // What is no manifest goes as it is: the hub says what is wrong with it.
  if (Object.keys(fields).length === 0) return manifest;
  return { ...fields, metadata: { namespace, ...asRecord(fields.metadata) } };
}

/** The hub counts the manifests of a call, `[1].spec.…`; a person knows them by file and name. */
function inWordsOfFiles(thrown: unknown, manifests: readonly SourcedManifest[], namespace: string): unknown {
  const issues = thrown instanceof SkeinError ? thrown.details.issues : undefined;
  if (!(thrown instanceof SkeinError) || !Array.isArray(issues)) return thrown;
  const named = issues.map((issue: unknown) => {
    const { path, ...rest } = asRecord(issue);
    const [, index = '0', inside = ''] = /^(?:\[(\d+)\]\.?)?(.*)$/s.exec(String(path ?? '')) ?? [];
    const found = manifests[Number(index)];
    if (found === undefined) return issue;
    const { kind, name } = metadataOf(found.manifest, namespace);
    return { ...rest, path: `${found.source}: ${kind}/${name}${inside === '' ? '' : `: ${inside}`}` };
  });
  return new SkeinError(thrown.code, thrown.message, {
    cause: thrown.cause,
    details: { ...thrown.details, issues: named },
  });
}

/** One line per resource; the hub may say what became of each. */
function describe(manifests: readonly SourcedManifest[], namespace: string, answer: unknown): string {
  const { results } = asRecord(answer);
  return manifests
    .map(({ manifest }, i) => {
      const meta = metadataOf(manifest, namespace);
      const { status } = asRecord(Array.isArray(results) ? results[i] : undefined);
      const outcome = typeof status === 'string' ? status : 'applied';
      return `${meta.kind}/${meta.name} in ${meta.namespace}: ${outcome}\n`;
    })
    .join('');
}
