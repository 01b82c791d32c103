/** `skein delete`: routes and policies leave the hub, by name or by the files they came from. */

import { manifestKey } from '../../catalog/resource.ts';
import { DEFAULT_NAMESPACE } from '../../catalog/service.ts';
import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { metadataOf, parseResourceQuery } from '../resource-name.ts';
import { printOutcome } from '../revisions.ts';
import { FILE_OPTION, IGNORE_TESTS_OPTION, inWordsOfFiles, NAMESPACE_OPTION } from '../sources.ts';

export const remove: CommandSpec = {
  name: 'delete',
  summary: 'remove routes and policies',
  description: 'All of what is named goes, or none of it, as one revision of the mesh.',
  args: [{ form: '[resources...]', description: 'Kind/name of each' }],
  options: [FILE_OPTION, NAMESPACE_OPTION, IGNORE_TESTS_OPTION, ...ADMIN_OPTIONS],
  examples: [
    ['skein delete AuthorizationPolicy/allow-same-namespace', 'one by its name'],
    ['skein delete -f policies.yaml', 'all that a file holds'],
  ],
  async run(context) {
    const namespace = context.input.text('namespace') ?? DEFAULT_NAMESPACE;
    const keys = context.input.args.map((text) => {
      const { kind, name } = parseResourceQuery(text);
      if (name === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot delete "${text}": expected Kind/name`);
      return manifestKey(kind, namespace, name);
    });
    for (const path of context.input.list('file') ?? []) {
      const { readManifests } = await import('../manifest.ts');
      for (const { source, manifest } of await readManifests(context, path)) {
        const meta = metadataOf(manifest, namespace);
        if (meta.kind === '' || meta.name === '') {
          throw new SkeinError('SKEIN_CONFIG', `Cannot delete ${source}: no kind or no metadata.name`);
        }
        keys.push(manifestKey(meta.kind, meta.namespace, meta.name));
      }
    }
    if (keys.length === 0) throw new SkeinError('SKEIN_CONFIG', 'Cannot delete: no resource named');
    const admin = await openAdmin(context);
    const query = context.input.flag('ignore-tests') ? '?ignoreTests=true' : '';
    const answer = await admin.post(`/v1/resources/delete${query}`, keys).catch((thrown) => {
      throw inWordsOfFiles(thrown, []);
    });
    await printOutcome(context, answer, false);
    return EXIT.done;
  },
};
