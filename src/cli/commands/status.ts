/** `skein status`: how the hub is, and who is connected to it; or how a sidecar is, and to which hubs it is connected. */

import { HUB_ROLES } from '../../auth/hub-role.ts';
import { ADMIN_OPTIONS, openAdmin, openSidecar } from '../admin.ts';
import { asRecord, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatAge, formatJson, formatTable, outputOption, toPrintable } from '../output.ts';

type Answer = Readonly<Record<string, unknown>>;
type Fact = readonly [name: string, value: string];

export const status: CommandSpec = {
  name: 'status',
  summary: 'show the hub and the sidecars connected to it, or a sidecar and its hubs',
  options: [
    outputOption(['table', 'json']),
    {
      flags: '--sidecar <address>',
      description: 'show the sidecar with this admin address, which its ready line tells',
      env: false,
    },
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein status', 'for a person'],
    ['skein status -o json --hub wss://hub.example.com', 'another hub, for a program'],
    ['skein status --sidecar 127.0.0.1:9901', 'to which hubs a sidecar is connected'],
  ],
  async run(context) {
    const sidecar = context.input.text('sidecar');
    const admin = await (sidecar === undefined ? openAdmin(context) : openSidecar(context, sidecar));
    const answer = asRecord(await admin.get('/v1/status'));
    if (context.input.text('output') === 'json') await context.print(formatJson(answer));
    else if (sidecar === undefined) await printHub(context, admin.url, answer);
    else await printSidecar(context, answer);
    return EXIT.done;
  },
};

async function printHub(context: CommandContext, url: string, answer: Answer): Promise<void> {
  const hub = asRecord(answer.hub);
  const catalogue = asRecord(answer.catalogue);
  const relay = asRecord(answer.relay);
  const workers = toRecords(answer.workers).map(({ pid, sidecars }) => `process ${pid} with ${sidecars} sidecars`);
  const others = toRecords(answer.hubs).map((other) => String(other.url));
  await printFacts(context, [
    ['hub', url],
    ...(others.length === 0 ? [] : [['with', others.join(', ')] as const]),
    ['trust domain', String(hub.trustDomain)],
    ['roles', Array.isArray(hub.roles) ? hub.roles.join(', ') : ''],
    ['runtime', String(hub.runtime)],
    ['up for', formatAge(Number(hub.uptimeMs))],
    ...(workers.length === 0 ? [] : [['workers', workers.join(', ')] as const]),
    ['catalogue', `${catalogue.resources} resources, ${describeVersion(catalogue)}`],
    ['relay', `${relay.circuits} circuits now, ${relay.records} records and ${relay.bytes} bytes so far`],
  ]);
  const rows = toRecords(answer.sidecars).map((sidecar) => [
    String(sidecar.instance),
    String(sidecar.id),
    String(sidecar.address),
    `${sidecar.rttMs} ms`,
    String(sidecar.circuits),
    formatAge(Number(sidecar.connectedMs)),
  ]);
  await printTable(context, ['instance', 'identity', 'address', 'rtt', 'circuits', 'connected'], rows);
}

async function printSidecar(context: CommandContext, answer: Answer): Promise<void> {
  const sidecar = asRecord(answer.sidecar);
  const identity = asRecord(answer.identity);
  await printFacts(context, [
    ['sidecar', String(sidecar.instance)],
    ['identity', String(identity.id ?? 'none yet')],
    ['state', String(sidecar.state)],
    ['runtime', String(sidecar.runtime)],
    ['up for', formatAge(Number(sidecar.uptimeMs))],
    ['catalogue', describeVersion(asRecord(answer.catalogue))],
    ...missingRoles(answer),
  ]);
  const workers = toRecords(answer.workers);
  if (workers.length > 0)
    await printTable(
      context,
      ['worker', 'pid', 'instance', 'state', 'up for', 'starts', 'streams'],
      workers.map(toWorkerRow),
    );
  const hubs = toRecords(answer.hubs).map(({ url, state, roles, primary, rttMs, error }) => {
    const isConnected = state === 'connected';
    return [
      String(url),
      isConnected ? (primary === true ? 'primary' : 'standby') : String(state),
      describeRoles(roles),
      isConnected ? `${rttMs} ms` : '',
      String(error ?? ''),
    ];
  });
  await printTable(context, ['hub', 'state', 'roles', 'rtt', 'why'], hubs);
  const all = workers.length > 0 ? workers.flatMap(({ peers: own }) => toRecords(own)) : toRecords(answer.peers);
  const peers = all.map(({ instance, id, streams, rttMs }) => [
    String(instance),
    String(id),
    String(streams),
    `${rttMs} ms`,
  ]);
  await printTable(context, ['session with', 'identity', 'streams', 'rtt'], peers);
}

function toWorkerRow({ worker, pid, starts, sidecar: told }: Answer): readonly string[] {
  const { instance, state, uptimeMs, streams } = asRecord(told);
  return [
    String(worker),
    String(pid),
    String(instance),
    String(state),
    formatAge(Number(uptimeMs)),
    String(starts),
    String(streams),
  ];
}

function describeRoles(roles: unknown): string {
  if (!Array.isArray(roles)) return '';
  return roles.length === HUB_ROLES.length ? 'all' : roles.join(', ');
}

function missingRoles({ missingRoles: missing }: Answer): readonly Fact[] {
  return Array.isArray(missing) && missing.length > 0
    ? [['missing', `no connected hub plays ${missing.join(', ')}`]]
    : [];
}

function describeVersion({ epoch, revision }: Answer): string {
  return `epoch ${epoch}, revision ${revision}`;
}

async function printFacts(context: CommandContext, facts: readonly Fact[]): Promise<void> {
  for (const [name, value] of facts) {
    await context.print(`${context.paint('bold', name.padEnd(13))} ${toPrintable(value)}\n`);
  }
}

async function printTable(
  context: CommandContext,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<void> {
  await context.print(`\n${formatTable(titles, rows, context.paint)}`);
}
