/** `skein apply`: resources from files to the hub, or back to an earlier revision. */

import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { type AdminClient, asRecord, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { printOutcome } from '../revisions.ts';
import { FILE_OPTION, IGNORE_TESTS_OPTION, inWordsOfFiles, NAMESPACE_OPTION, readSources } from '../sources.ts';

export const apply: CommandSpec = {
  name: 'apply',
  summary: 'create or replace routes and policies, or go back to what there was',
  description:
    'All of what is given is taken, or none of it. Each change is a revision of the mesh, which `skein get --revisions` lists.\n' +
    'A file that holds metadata.resourceVersion, as `skein get -o yaml` prints it, replaces that version and no other.',
  args: [{ form: '[files...]', description: 'the same as --file' }],
  options: [
    FILE_OPTION,
    NAMESPACE_OPTION,
    { flags: '--rollback', description: 'undo the newest revision, or with --to all that came after it', env: false },
    {
      flags: '--to <revision>',
      description: 'the revision to go back to',
      fallback: 'the one before the newest',
      env: false,
    },
    { flags: '--if-revision <number>', description: 'only if this is still the newest revision', env: false },
    { flags: '--dry-run', description: 'have the hub check it, say what would change, and change nothing', env: false },
    IGNORE_TESTS_OPTION,
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein apply -f policies.yaml', 'from a file'],
    ['cat *.yaml | skein apply -f -', 'from stdin'],
    ['skein apply --rollback', 'undo the last change'],
    ['skein apply --rollback --to 12', 'make everything as it was at revision 12'],
  ],
  async run(context) {
    const { input } = context;
    const to = readNumber(context, 'to');
    const isDryRun = input.flag('dry-run');
    const isRollback = input.flag('rollback') || to !== undefined;
    if (isRollback && (input.args.length > 0 || input.list('file') !== undefined)) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot apply: --rollback takes no files');
    }
    const sources = isRollback ? [] : await readSources(context, 'apply');
    const admin = await openAdmin(context);
    if (isRollback) {
      const newest = readNumber(context, 'if-revision') ?? (await readNewest(admin));
      const target = { to: to ?? newest - 1 };
      const answer = await admin.post(`/v1/revisions/rollback${queryOf(context, newest)}`, target).catch((thrown) => {
        throw inWordsOfFiles(thrown, []);
      });
      await printOutcome(context, answer, isDryRun);
      return EXIT.done;
    }
    const manifests = sources.map(({ manifest }) => manifest);
    const path = `/v1/resources${queryOf(context, readNumber(context, 'if-revision'))}`;
    const answer = await admin.post(path, manifests).catch((thrown) => {
      throw inWordsOfFiles(thrown, sources);
    });
    await printOutcome(context, answer, isDryRun);
    return EXIT.done;
  },
};

function readNumber({ input }: CommandContext, option: string): number | undefined {
  const text = input.text(option);
  if (text === undefined) return undefined;
  if (/^\d{1,12}$/.test(text)) return Number(text);
  throw new SkeinError('SKEIN_CONFIG', `Cannot use --${option} "${text}": expected the number of a revision`);
}

/** Going back means to undo what one has seen: what somebody adds meanwhile stays. */
async function readNewest(admin: AdminClient): Promise<number> {
  const { revisions } = asRecord(await admin.get('/v1/revisions'));
  const newest = Number(toRecords(revisions).at(-1)?.revision ?? 0);
  if (newest === 0) throw new SkeinError('SKEIN_CONFIG', 'Cannot go back: nothing has been applied yet');
  return newest;
}

function queryOf({ input }: CommandContext, ifRevision: number | undefined): string {
  const query = new URLSearchParams();
  if (ifRevision !== undefined) query.set('ifRevision', String(ifRevision));
  if (input.flag('dry-run')) query.set('dryRun', 'true');
  if (input.flag('ignore-tests')) query.set('ignoreTests', 'true');
  return query.size === 0 ? '' : `?${query}`;
}
