/** `skein paths`: by which ways a sidecar reaches its peers, and why not directly. */

import { SkeinError } from '../../core/errors.ts';
import { openSidecar, SIDECAR_OPTION } from '../admin.ts';
import { asRecord, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { formatAge, formatJson, formatTable, outputOption } from '../output.ts';

type Answer = Readonly<Record<string, unknown>>;

const TITLES = ['peer', 'instance', 'path', 'via', 'state', 'rtt', 'age', 'switches', 'resumes', 'why not direct'];

export const paths: CommandSpec = {
  name: 'paths',
  summary: 'show by which ways a sidecar reaches its peers, and why not directly',
  args: [{ form: '[peer]', description: 'only peers of this SPIFFE id, service account or instance' }],
  options: [outputOption(['table', 'json']), SIDECAR_OPTION],
  examples: [
    ['skein paths --sidecar 127.0.0.1:9901', 'every peer'],
    ['skein paths api -o json --sidecar 127.0.0.1:9901', 'the instances of one service account, for a program'],
  ],
  async run(context) {
    const { input } = context;
    const address = input.text('sidecar');
    if (address === undefined) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot show paths: no sidecar is named', {
        details: { remedy: 'Give the admin address of one with --sidecar, or SKEIN_SIDECAR; it has one with --admin.' },
      });
    }
    const answer = asRecord(await (await openSidecar(context, address)).get('/v1/paths'));
    const [wanted] = input.args;
    const peers = toRecords(answer.peers).filter((peer) => wanted === undefined || isCalled(peer, wanted));
    if (input.text('output') === 'json') await context.print(formatJson({ ...answer, peers }));
    else if (peers.length === 0) context.say(wanted === undefined ? 'no sessions' : `no sessions with "${wanted}"`);
    else await context.print(formatTable(TITLES, peers.flatMap(toRows), context.paint));
    return EXIT.done;
  },
};

/** One line for each path, that in use first; what is true of the peer stands in the first line. */
function toRows(peer: Answer): string[][] {
  const { id, instance, state, detachedMs, switches, resumes } = peer;
  const ways = toRecords(peer.paths).sort((a, b) => Number(b.active === true) - Number(a.active === true));
  const rows = ways.map(({ kind, how, via, state: pathState, rttMs, ageMs, active }) => [
    how === null || how === undefined ? String(kind) : `${kind} (${how})`,
    String(via),
    active === true && pathState === 'suspect' ? 'active, suspect' : String(pathState),
    Number(rttMs) > 0 ? `${rttMs} ms` : active === true && Number(peer.rttMs) > 0 ? `${peer.rttMs} ms` : '',
    formatAge(Number(ageMs)),
  ]);
  if (ways.every(({ active }) => active !== true)) {
    rows.unshift(['none', '', `${state} for ${formatAge(Number(detachedMs))}`, '', '']);
  }
  return rows.map((row, i) =>
    i === 0
      ? [toName(String(id)), String(instance), ...row, String(switches), String(resumes), whyNot(asRecord(peer.direct))]
      : ['', '', ...row],
  );
}

/** `api.shop` of `spiffe://mesh/ns/shop/sa/api`; another id as it is. */
function toName(id: string): string {
  const [, namespace, account] = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id) ?? [];
  return account === undefined ? id : `${account}.${namespace}`;
}

function isCalled({ id, instance }: Answer, wanted: string): boolean {
  const name = toName(String(id));
  return [String(id), String(instance), name, name.split('.')[0]].includes(wanted);
}

function whyNot({ state, reason, retryInMs }: Answer): string {
  if (state === 'direct' || state === undefined) return '';
  if (state === 'searching') return 'looking for a way';
  const again = typeof retryInMs === 'number' ? `; again in ${formatAge(retryInMs)}` : '';
  return `${reason ?? 'not tried yet'}${again}`;
}
