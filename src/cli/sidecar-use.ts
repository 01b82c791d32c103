/** What a person can do with a sidecar that has just started, in a few lines. */

import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import type { Sidecar } from '../sidecar/sidecar.ts';
import type { SidecarSettings } from './sidecar-settings.ts';

export function describeUse({ id, addresses }: Sidecar, { expose }: SidecarSettings): string {
  const lines = [`\nThis is ${id}.`];
  for (const { service, port } of expose) lines.push(`Others reach ${service} at http://${toMeshName(service, port)}/`);
  if (addresses.http !== undefined) lines.push(`Call others: curl -x ${addresses.http} http://<service>.mesh/`);
  for (const [name, address] of Object.entries(addresses)) {
    if (name.startsWith('tcp:')) lines.push(`${name.slice(4)} is at ${address}`);
  }
  return `${lines.join('\n')}\n`;
}

/** `api.default:80` is `api.mesh`. */
function toMeshName(service: string, port: number): string {
  const name = service.endsWith(`.${DEFAULT_NAMESPACE}`) ? service.slice(0, -DEFAULT_NAMESPACE.length - 1) : service;
  return `${name}.mesh${port === 80 ? '' : `:${port}`}`;
}
