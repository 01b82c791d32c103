/** `skein diff`: what applying files would change in the mesh. */

import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { toList } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { Comparison } from '../comparison.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatJson, outputOption, toPrintable } from '../output.ts';
import { formatResource } from '../resource-name.ts';
import { FILE_OPTION, NAMESPACE_OPTION, readSources } from '../sources.ts';

export const diff: CommandSpec = {
  name: 'diff',
  summary: 'compare files of routes and policies with the mesh',
  description:
    'Compared is what they mean: order of members, comments, and values that are defaults anyway make no difference.\n' +
    'Exit code 0: the mesh is as the files say. 1: it is not. Files that cannot be read, or would be refused: 2.',
  args: [{ form: '[files...]', description: 'the same as --file' }],
  options: [FILE_OPTION, NAMESPACE_OPTION, outputOption(['text', 'json']), ...ADMIN_OPTIONS],
  examples: [
    ['skein diff -f routes.yaml', 'what `skein apply` would change'],
    ['skein diff -f routes.yaml || skein apply -f routes.yaml', 'apply only what is not there yet'],
  ],
  async run(context) {
    const sources = await readSources(context, 'compare');
    const { compareSources } = await import('../comparison.ts');
    const compared = await compareSources(sources, async () =>
      toList(await (await openAdmin(context)).get('/v1/resources')),
    );
    const changed = compared.filter(({ status }) => status !== 'same');
    if (context.input.text('output') === 'json') await context.print(formatJson(changed));
    else await context.print(changed.map((each) => format(each, context)).join(''));
    return changed.length === 0 ? EXIT.done : EXIT.other;
  },
};

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
