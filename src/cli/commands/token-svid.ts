/** `skein token svid`: a bearer token by which a sidecar's application shows somebody else who it is. */

import { SkeinError } from '../../core/errors.ts';
import { openSidecar } from '../admin.ts';
import { asRecord } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import { EXIT } from '../exit-code.ts';

export const tokenSvid: CommandSpec = {
  name: 'token svid',
  summary: 'print a JWT-SVID of a sidecar: a bearer token, for one audience and 5 minutes at most',
  description:
    'Whoever holds the token is taken for the sidecar by its audience, who verifies it with the keys at /.well-known/jwks.json of the hub. It opens nothing inside the mesh.',
  options: [
    { flags: '--audience <name>', description: 'who shall take it: its SPIFFE id, or a URL that it knows itself by' },
    { flags: '--sidecar <address>', description: 'admin address of the sidecar, which its ready line tells' },
  ],
  examples: [['skein token svid --audience https://api.example.com --sidecar 127.0.0.1:9901', 'alone on stdout']],
  async run(context) {
    const { input } = context;
    const audience = input.text('audience');
    if (audience === undefined) throw new SkeinError('SKEIN_CONFIG', 'Cannot get token: --audience is missing');
    const address = input.text('sidecar');
    if (address === undefined) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot get token: no sidecar is named', {
        details: { remedy: 'Give the admin address of one with --sidecar, or SKEIN_SIDECAR; it has one with --admin.' },
      });
    }
    const { token } = asRecord(await (await openSidecar(context, address)).post('/v1/token', { audience }));
    if (typeof token !== 'string')
      throw new SkeinError('SKEIN_PROTOCOL', `Cannot get token: sidecar ${address} answered without one`);
    await context.print(`${token}\n`);
    return EXIT.done;
  },
};
