/** What changes of the mesh are told as: the one that was just made, and the revisions that are kept. */

import { asRecord, toRecords } from './admin-client.ts';
import type { CommandContext } from './context.ts';
import { formatJson, formatTable } from './output.ts';
import { formatResource } from './resource-name.ts';

/** Changes of one revision in its row; the other forms have all. */
const MOST = 3;

type Fields = Readonly<Record<string, unknown>>;

/** What the hub answered to a change: one line per resource, and which revision it is now. */
export async function printOutcome(
  { paint, print, say }: CommandContext,
  answer: unknown,
  isDryRun: boolean,
): Promise<void> {
  const { results, revision, warnings } = asRecord(answer);
  const applied = toRecords(results);
  const lines = applied.map(
    ({ key, status }) => `${formatResource(String(key))}: ${status}${isDryRun ? ' (dry run)' : ''}\n`,
  );
  await print(lines.join(''));
  for (const { resource, path, message } of toRecords(warnings)) {
    say(`${paint('yellow', 'warning:')} ${formatResource(String(resource))}: ${path}: ${message}`);
  }
  if (lines.length === 0) say('Nothing to change.');
  if (!isDryRun && applied.some(({ status }) => status !== 'unchanged')) {
    say(`Revision ${revision}; \`skein apply --rollback\` undoes it.`);
  }
}

/** Prints those that have changed something that is meant, with that alone. */
export async function printRevisions(
  { paint, print }: CommandContext,
  revisions: readonly Fields[],
  form: string | undefined,
  isMeant: (key: string) => boolean,
): Promise<void> {
  const shown = revisions.flatMap((revision) => {
    const changes = toRecords(revision.changes).filter(({ key }) => isMeant(String(key)));
    return changes.length === 0 ? [] : [{ ...revision, changes }];
  });
  if (form === 'json') return print(formatJson(shown));
  if (form === 'yaml') {
    const { formatYaml } = await import('./yaml.ts');
    return print(formatYaml(shown));
  }
  return print(formatTable(['revision', 'at', 'action', 'changes'], shown.map(toRow), paint));
}

function toRow({ revision, at, action, to, changes }: Fields): string[] {
  const what = toRecords(changes).map(({ key, status }) => `${formatResource(String(key))} ${status}`);
  const more = what.length > MOST ? [`and ${what.length - MOST} more`] : [];
  return [
    String(revision),
    String(at),
    to === undefined ? String(action) : `${action} to ${to}`,
    [...what.slice(0, MOST), ...more].join(', '),
  ];
}
