/** `skein status`: how the hub is, and who is connected to it. */

import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { asRecord } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { formatAge, formatJson, formatTable, toPrintable } from '../output.ts';

export const status: CommandSpec = {
  name: 'status',
  summary: 'show the hub and the sidecars connected to it',
  options: [
    {
      flags: '-o, --output <form>',
      description: 'how to print',
      choices: ['table', 'json'],
      fallback: 'table',
      env: false,
    },
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein status', 'for a person'],
    ['skein status -o json --hub wss://hub.example.com', 'another hub, for a program'],
  ],
  async run(context) {
    const admin = await openAdmin(context);
    const answer = asRecord(await admin.get('/v1/status'));
    if (context.input.text('output') === 'json') {
      await context.print(formatJson(answer));
      return EXIT.done;
    }
    const hub = asRecord(answer.hub);
    const catalogue = asRecord(answer.catalogue);
    const relay = asRecord(answer.relay);
    const facts: readonly [name: string, value: string][] = [
      ['hub', admin.hub],
      ['trust domain', String(hub.trustDomain)],
      ['roles', Array.isArray(hub.roles) ? hub.roles.join(', ') : ''],
      ['runtime', String(hub.runtime)],
      ['up for', formatAge(Number(hub.uptimeMs))],
      ['catalogue', `${catalogue.resources} resources, epoch ${catalogue.epoch}, revision ${catalogue.revision}`],
      ['relay', `${relay.circuits} circuits now, ${relay.records} records and ${relay.bytes} bytes so far`],
    ];
    for (const [name, value] of facts) {
      await context.print(`${context.paint('bold', name.padEnd(13))} ${toPrintable(value)}\n`);
    }
    const sidecars = Array.isArray(answer.sidecars) ? answer.sidecars.map(asRecord) : [];
    const rows = sidecars.map((sidecar) => [
      String(sidecar.instance),
      String(sidecar.id),
      String(sidecar.address),
      `${sidecar.rttMs} ms`,
      String(sidecar.circuits),
      formatAge(Number(sidecar.connectedMs)),
    ]);
    await context.print(
      `\n${formatTable(['instance', 'identity', 'address', 'rtt', 'circuits', 'connected'], rows, context.paint)}`,
    );
    return EXIT.done;
  },
};
