/** `skein get`: routes and policies that the hub holds, as a table, YAML or JSON. */

import { type Status, summarizeStatus } from '../../catalog/condition.ts';
import { DEFAULT_NAMESPACE } from '../../catalog/service.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { asRecord, toList, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatJson, formatTable, outputOption } from '../output.ts';
import {
  metadataOf,
  parseResourceQuery,
  type ResourceMetadata,
  type ResourceQuery,
  resourcePath,
} from '../resource-name.ts';
import { printRevisions } from '../revisions.ts';

export const get: CommandSpec = {
  name: 'get',
  summary: 'show routes and policies',
  args: [{ form: '[resource]', description: 'Kind, Kind/name, policies or routes; all kinds when silent' }],
  options: [
    {
      flags: '-n, --namespace <name>',
      description: 'only this namespace',
      fallback: `all for a list, ${DEFAULT_NAMESPACE} for one name`,
    },
    outputOption(['table', 'yaml', 'json'], 'table for a list, yaml for one'),
    {
      flags: '--revisions',
      description: 'show what has changed the resources, oldest first; with a resource, what has changed that',
      env: false,
    },
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein get policies', 'every policy'],
    ['skein get AuthorizationPolicy/allow-same-namespace', 'one, as YAML that `skein apply` takes back'],
    ['skein get -n shop -o json', 'everything of a namespace, for a program'],
    ['skein get --revisions', 'every change that can be gone back to'],
  ],
  async run(context) {
    const [text] = context.input.args;
    const query = text === undefined ? undefined : parseResourceQuery(text);
    const namespace = context.input.text('namespace');
    const admin = await openAdmin(context);
    const form = context.input.text('output');
    if (context.input.flag('revisions')) {
      const { revisions } = asRecord(await admin.get('/v1/revisions'));
      await printRevisions(context, toRecords(revisions), form, (key) => isMeant(key, query, namespace));
      return EXIT.done;
    }
    if (query?.name !== undefined) {
      const manifest = await admin.get(resourcePath(query.kind, namespace ?? DEFAULT_NAMESPACE, query.name));
      if (form === 'table') await context.print(toTable([manifest], context.paint));
      else if (form === 'json') await context.print(formatJson(manifest));
      else await printYaml(context, [manifest]);
      return EXIT.done;
    }
    const manifests = toList(await admin.get('/v1/resources')).filter((manifest) => {
      const meta = metadataOf(manifest);
      return (
        (query === undefined || meta.kind === query.kind) && (namespace === undefined || meta.namespace === namespace)
      );
    });
    if (form === 'json') await context.print(formatJson(manifests));
    else if (form === 'yaml') await printYaml(context, manifests);
    else await context.print(toTable(manifests, context.paint));
    return EXIT.done;
  },
};

async function printYaml({ print }: CommandContext, manifests: readonly unknown[]): Promise<void> {
  const { formatYaml } = await import('../yaml.ts');
  await print(manifests.map(formatYaml).join('---\n'));
}

function isMeant(key: string, query: ResourceQuery | undefined, namespace: string | undefined): boolean {
  const [kind, space, name] = key.split('/');
  const wanted = query?.name === undefined ? namespace : (namespace ?? DEFAULT_NAMESPACE);
  return (
    (query === undefined || query.kind === kind) &&
    (query?.name === undefined || query.name === name) &&
    (wanted === undefined || wanted === space)
  );
}

function toTable(manifests: readonly unknown[], paint: Parameters<typeof formatTable>[2]): string {
  const rows = manifests
    .map((manifest): [ResourceMetadata, string] => [metadataOf(manifest), statusOf(manifest)])
    .map(([{ kind, namespace, name }, status]) => [kind, namespace, name, status])
    .sort((a, b) => a.join('/').localeCompare(b.join('/'), 'en'));
  return formatTable(['kind', 'namespace', 'name', 'status'], rows, paint);
}

function statusOf(manifest: unknown): string {
  return summarizeStatus(asRecord(asRecord(manifest).status) as Status);
}
