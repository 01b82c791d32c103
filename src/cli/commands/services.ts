/** `skein services`: who serves what, as the hub knows it. */

import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import { asRecord, toList } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { formatJson, formatTable, outputOption } from '../output.ts';

export const services: CommandSpec = {
  name: 'services',
  summary: 'list services and their instances',
  options: [
    { flags: '-n, --namespace <name>', description: 'only this namespace', fallback: 'all' },
    outputOption(['table', 'json']),
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein services', 'every service'],
    ['skein services -n shop -o json', 'one namespace, for a program'],
  ],
  async run(context) {
    const namespace = context.input.text('namespace');
    const admin = await openAdmin(context);
    const found = toList(await admin.get('/v1/services'))
      .map(asRecord)
      .filter((service) => namespace === undefined || service.namespace === namespace);
    if (context.input.text('output') === 'json') {
      await context.print(formatJson(found));
      return EXIT.done;
    }
    const rows = found.flatMap((service) =>
      toList(service.endpoints).map((item) => {
        const endpoint = asRecord(item);
        const place = [endpoint.region, endpoint.zone].filter((part) => part !== undefined && part !== '').join('/');
        return [
          `${service.name}.${service.namespace}`,
          String(endpoint.port),
          String(endpoint.protocol),
          endpoint.connected === false ? 'gone' : endpoint.healthy === true ? 'healthy' : 'unhealthy',
          String(endpoint.instance),
          place,
          formatLabels(endpoint.labels),
        ];
      }),
    );
    await context.print(
      formatTable(['service', 'port', 'protocol', 'state', 'instance', 'locality', 'labels'], rows, context.paint),
    );
    return EXIT.done;
  },
};

function formatLabels(labels: unknown): string {
  return Object.entries(asRecord(labels))
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(',');
}
