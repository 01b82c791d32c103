/** The revisions of the mesh as `skein get --revisions` prints them. */

import { toRecords } from './admin-client.ts';
import type { CommandContext } from './context.ts';
import { formatJson, formatTable } from './output.ts';
import { formatYaml } from './yaml.ts';

/** Changes of one revision in its row; the other forms have all. */
const MOST = 3;

type Fields = Readonly<Record<string, unknown>>;

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
  if (form === 'yaml') return print(formatYaml(shown));
  return print(formatTable(['revision', 'at', 'action', 'changes'], shown.map(toRow), paint));
}

function toRow({ revision, at, action, to, changes }: Fields): string[] {
  const what = toRecords(changes).map(({ key, status }) => {
    const [kind, namespace, name] = String(key).split('/');
    return `${kind}/${name} in ${namespace} ${status}`;
  });
  const more = what.length > MOST ? [`and ${what.length - MOST} more`] : [];
  return [
    String(revision),
    String(at),
    to === undefined ? String(action) : `${action} to ${to}`,
    [...what.slice(0, MOST), ...more].join(', '),
  ];
}
