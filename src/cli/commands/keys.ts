/** `skein keys`: the keys by which the issuer signs SVIDs, and their change. */

import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { asRecord, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatJson, formatTable, outputOption } from '../output.ts';

const OUTPUT = outputOption(['table', 'json']);

export const keysList: CommandSpec = {
  name: 'keys list',
  summary: 'show the keys by which the issuer signs, and when each begins and ends',
  description:
    'A key is announced (next) long before it signs, signs (current), and stays known (retired) until nothing is left that it has signed. The anchor is the key that join tokens and --hub-thumbprint name: it signs the list of the others, and is never changed.',
  options: [OUTPUT, ...ADMIN_OPTIONS],
  examples: [
    ['skein keys list', 'which keys there are'],
    ['skein keys list -o json', 'for a program'],
  ],
  async run(context) {
    const admin = await openAdmin(context);
    await print(context, await admin.get('/v1/keys'));
    return EXIT.done;
  },
};

export const keysRotate: CommandSpec = {
  name: 'keys rotate',
  summary: 'sign by the next keys, as soon as everybody knows them',
  description:
    'The next keys have been announced since they were made. Once that is a day ago, they sign from now on; if not, they will as soon as it is. Nothing is interrupted: who holds an SVID of the old key keeps it until it is renewed. Hubs do the same by themselves every 30 days (`skein hub --key-life`).',
  options: [
    {
      flags: '--now',
      description: 'now or not at all: refuse if the next keys have not been announced for long enough',
      env: false,
    },
    OUTPUT,
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein keys rotate', 'by itself, as soon as the next keys have been known for a day'],
    ['skein keys rotate --now', 'only if that is already so'],
  ],
  async run(context) {
    const admin = await openAdmin(context);
    await print(context, await admin.post('/v1/keys/rotate', { now: context.input.flag('now') }));
    return EXIT.done;
  },
};

export const keysRemove: CommandSpec = {
  name: 'keys remove',
  summary: 'take a stolen key out at once: what it has signed is good no more',
  description:
    'Every member that is connected drops it within seconds. Sessions and links that were opened by an SVID of it end; members get another SVID by the next key, by themselves, because the hub knows them by their own keys. Whom the hub knows only by an SVID of that key is revoked and needs a new join token. The anchor cannot be removed.',
  args: [
    { form: '<kid>', description: 'id of the key, as `skein keys list` shows it; behind -- if it begins with a dash' },
  ],
  options: [OUTPUT, ...ADMIN_OPTIONS],
  examples: [['skein keys remove cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s', 'it has been stolen']],
  async run(context) {
    const admin = await openAdmin(context);
    const answer = asRecord(await admin.post('/v1/keys/remove', { kid: context.input.args[0] }));
    context.say(`removed; ${String(answer.revoked)} keys of members revoked that nothing else spoke for`);
    await print(context, answer);
    return EXIT.done;
  },
};

async function print(context: CommandContext, value: unknown): Promise<void> {
  const answer = asRecord(value);
  if (context.input.text('output') === 'json') return context.print(formatJson(answer));
  const rows = toRecords(answer.keys).map(
    ({ kid, use, state, anchor, announcedAt, signsFrom, retiredAt, removedFrom }) => [
      String(kid),
      String(use),
      state !== 'anchor' && anchor === true ? `${String(state)}, anchor` : String(state),
      ...[announcedAt, signsFrom, retiredAt, removedFrom].map((time) => String(time ?? '')),
    ],
  );
  const head = ['key', 'signs', 'state', 'announced', 'signs from', 'retired', 'leaves the bundle'];
  await context.print(formatTable(head, rows, context.paint));
}
