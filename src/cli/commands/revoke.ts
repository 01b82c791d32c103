/** `skein revoke`: takes an identity back before its SVIDs expire, shows what is taken back, and undoes it. */

import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { type AdminClient, asRecord, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatJson, formatTable, toPrintable } from '../output.ts';

export const revoke: CommandSpec = {
  name: 'revoke',
  summary: 'take an identity back: its links and sessions end everywhere, and nobody lets it in again',
  description:
    'It holds until it is undone. With --rejoin it holds for what was issued until now: who gets a new join token is good again. With --key it holds for one key, and so for one instance; `skein status -o json` shows the key of each.',
  args: [{ form: '[id]', description: 'SPIFFE id, as `skein status` shows it' }],
  options: [
    { flags: '--reason <text>', description: 'why, for those who look later', env: false },
    { flags: '--key <thumbprint>', description: 'only the instance that has this key', env: false },
    { flags: '--rejoin', description: 'who gets a new join token after this may come back', env: false },
    { flags: '--undo', description: 'take the revocation back: what was issued before is good again', env: false },
    { flags: '--list', description: 'show what is revoked', env: false },
    {
      flags: '-o, --output <form>',
      description: 'how to print with --list',
      choices: ['table', 'json'],
      fallback: 'table',
      env: false,
    },
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein revoke spiffe://skein.mesh/ns/shop/sa/api --reason "host was stolen"', 'until it is undone'],
    ['skein revoke spiffe://skein.mesh/ns/shop/sa/api --rejoin', 'its instances need new join tokens'],
    [
      'skein revoke spiffe://skein.mesh/ns/shop/sa/api --key cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s',
      'one instance',
    ],
    ['skein revoke --list', 'what is revoked, and why'],
    ['skein revoke --undo spiffe://skein.mesh/ns/shop/sa/api', 'it was a mistake'],
  ],
  async run(context) {
    const { input } = context;
    const [id] = input.args;
    if (input.flag('list') !== (id === undefined)) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot revoke: expected a SPIFFE id, or --list');
    }
    if (input.flag('undo') && (input.flag('rejoin') || input.text('reason') !== undefined)) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot undo revocation: --rejoin and --reason are for a new one');
    }
    const admin = await openAdmin(context);
    if (id === undefined) await print(context, admin);
    else if (input.flag('undo')) await undo(context, admin, id);
    else await revokeId(context, admin, id);
    return EXIT.done;
  },
};

async function revokeId(context: CommandContext, admin: AdminClient, id: string): Promise<void> {
  const { input } = context;
  const [key, reason] = [input.text('key'), input.text('reason')];
  const answer = asRecord(
    await admin.post('/v1/revocations', {
      ...{ id, rejoin: input.flag('rejoin') },
      ...(key === undefined ? {} : { key }),
      ...(reason === undefined ? {} : { reason }),
    }),
  );
  await context.print(`${toPrintable(id)}: revoked, ${String(answer.closed)} links closed at this hub\n`);
}

async function undo(context: CommandContext, admin: AdminClient, id: string): Promise<void> {
  const key = context.input.text('key');
  await admin.post('/v1/revocations/undo', { id, ...(key === undefined ? {} : { key }) });
  await context.print(`${toPrintable(id)}: no longer revoked\n`);
}

async function print(context: CommandContext, admin: AdminClient): Promise<void> {
  const answer = asRecord(await admin.get('/v1/revocations'));
  if (context.input.text('output') === 'json') return context.print(formatJson(answer));
  const rows = toRecords(answer.revocations).map(({ id, key, rejoin, at, reason }) => [
    String(id),
    String(key ?? 'every key'),
    rejoin === true ? 'who joins anew is good' : key === undefined ? 'until undone' : 'until its SVIDs have expired',
    String(at),
    String(reason ?? ''),
  ]);
  await context.print(formatTable(['identity', 'key', 'holds', 'since', 'reason'], rows, context.paint));
}
