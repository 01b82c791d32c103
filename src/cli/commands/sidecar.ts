/** `skein sidecar`: an application joins the mesh, without a line of its own changed. */

import { SkeinError } from '../../core/errors.ts';
import type { CommandSpec } from '../command.ts';
import { SIDECAR_OPTIONS } from '../sidecar-options.ts';
import { readSidecarSettings, type SidecarSettings } from '../sidecar-settings.ts';
import { serveSidecar } from '../sidecar-start.ts';

export const sidecar: CommandSpec = {
  name: 'sidecar',
  summary: 'join the mesh: offer an application to it, open local ports into it',
  description: 'It needs a way out to the hub and nothing else: no open port, no public address.',
  options: SIDECAR_OPTIONS,
  examples: [
    ['skein sidecar --hub wss://hub.example.com --token @api.token --expose api=http://127.0.0.1:3000', 'offer'],
    ['skein sidecar --hub wss://hub.example.com --token @web.token --listen-http 127.0.0.1:8080', 'call'],
    ['skein sidecar --config skein.yaml', 'both, from a file'],
    ['skein sidecar --config skein.yaml --workers auto', 'the same on every processor'],
  ],
  async run(context) {
    const settings = await readSidecarSettings(context);
    checkPurpose(settings);
    return serveSidecar(context, { settings, remember: false });
  },
};

function checkPurpose({ expose, listenHttp, listenDns, listenTcp, admin }: SidecarSettings): void {
  const listens = [listenHttp, listenDns, admin].some((address) => address !== undefined);
  if (expose.length + listenTcp.length > 0 || listens) return;
  throw new SkeinError('SKEIN_CONFIG', 'Cannot start sidecar: it would offer nothing and listen nowhere', {
    details: {
      remedy: 'Add --expose api=http://127.0.0.1:3000 to offer a service, --listen-http 127.0.0.1:8080 to call others.',
    },
  });
}
