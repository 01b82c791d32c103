/** `skein expose`: the shortest way to offer what listens on a local port. */

import type { CommandSpec } from '../command.ts';
import { parseExpose } from '../expose.ts';
import { SIDECAR_OPTIONS } from '../sidecar-options.ts';
import { readSidecarSettings } from '../sidecar-settings.ts';
import { serveSidecar } from '../sidecar-start.ts';

export const expose: CommandSpec = {
  name: 'expose',
  summary: 'offer what listens on a local port to the mesh',
  description: 'A sidecar with one service. On the machine of the hub it needs no token.',
  args: [
    { form: '<service>', description: 'name[.namespace][:port]' },
    { form: '<target>', description: 'a port, host:port, or http://…, tcp://…' },
  ],
  options: SIDECAR_OPTIONS.filter(({ flags }) => !flags.startsWith('--expose')),
  examples: [
    ['skein expose api 3000', 'http://127.0.0.1:3000 is http://api.mesh/ now'],
    ['skein expose db tcp://127.0.0.1:5432', 'a service that speaks no HTTP'],
  ],
  async run(context) {
    const [service = '', target = ''] = context.input.args;
    const base = await readSidecarSettings(context);
    const settings = { ...base, expose: [parseExpose(`${service}=${toTarget(target)}`, base.namespace)] };
    return serveSidecar(context, { settings, remember: true });
  },
};

function toTarget(text: string): string {
  if (/^\d+$/.test(text)) return `http://127.0.0.1:${text}`;
  return text.includes('://') ? text : `http://${text}`;
}
