/** `skein token create`: a single-use join token, alone on stdout so that a script can take it. */

import { GRANTED_ROLES } from '../../auth/hub-role.ts';
import { DEFAULT_NAMESPACE } from '../../catalog/service.ts';
import { tryParseDuration } from '../../core/duration.ts';
import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openAdmin } from '../admin.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { createToken } from '../join-token.ts';

const DEFAULT_TTL = '15m';

export const tokenCreate: CommandSpec = {
  name: 'token create',
  summary: 'make a join token: it works once, for the named services, for a short time',
  options: [
    {
      flags: '--service <names>',
      description: 'services that the holder may expose; the first names its identity',
      list: true,
      commas: true,
    },
    { flags: '-n, --namespace <name>', description: 'namespace of the services', fallback: DEFAULT_NAMESPACE },
    {
      flags: '--hub-role <names>',
      description: `lets in a hub instead, which may do this for sidecars: ${GRANTED_ROLES.join(', ')}`,
      list: true,
      commas: true,
    },
    { flags: '--ttl <duration>', description: 'how long it may wait for its use', fallback: DEFAULT_TTL },
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein token create --service api', 'on the machine of the hub'],
    ['skein token create --service api,web --namespace shop --ttl 1h > join.token', 'several names, into a file'],
    ['skein token create --hub-role relay,signal', 'for another hub, which holds no key of the issuer'],
    ['SKEIN_ADMIN_TOKEN=… skein token create --service api --hub wss://hub.example.com', 'from another machine'],
  ],
  async run(context) {
    const services = context.input.list('service') ?? [];
    const hubRoles = context.input.list('hub-role');
    if (services.length === 0 && hubRoles === undefined)
      throw new SkeinError('SKEIN_CONFIG', 'Cannot make token: --service is missing');
    if (services.length > 0 && hubRoles !== undefined)
      throw new SkeinError('SKEIN_CONFIG', 'Cannot make token: --service and --hub-role exclude each other');
    const ttl = context.input.text('ttl') ?? DEFAULT_TTL;
    if (!tryParseDuration(ttl)) {
      throw new SkeinError('SKEIN_CONFIG', `Cannot use --ttl "${ttl}": expected a duration such as 15m or 1h30m`);
    }
    const admin = await openAdmin(context);
    const token = await createToken(admin, {
      services,
      hubRoles,
      namespace: context.input.text('namespace') ?? DEFAULT_NAMESPACE,
      ttl,
    });
    await context.print(`${token}\n`);
    return EXIT.done;
  },
};
