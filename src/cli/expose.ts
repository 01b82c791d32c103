/** What a sidecar offers to the mesh, and the local ports it opens for services of it, as one option says each. */

import type { ListenAddress } from '../core/platform.ts';
import {
  parseListenAddress,
  parseServicePort,
  parseTarget,
  type ServicePort,
  splitAssignment,
  type Target,
} from './address.ts';

export interface ExposeSetting extends ServicePort {
  readonly target: Target;
  readonly labels: Readonly<Record<string, string>>;
  readonly health: { readonly path: string; readonly intervalMs: number | undefined } | undefined;
}

export interface TcpListenSetting extends ServicePort {
  readonly listen: ListenAddress;
}

/** Reads `name[.namespace][:port]=target`. @throws SkeinError SKEIN_CONFIG */
export function parseExpose(text: string, namespace: string): ExposeSetting {
  const [name, target] = splitAssignment('--expose', text, 'name=target, such as api=http://127.0.0.1:3000');
  return { ...parseServicePort(name, namespace), target: parseTarget(target), labels: {}, health: undefined };
}

/** Reads `name[.namespace][:port]=address`. @throws SkeinError SKEIN_CONFIG */
export function parseTcpListen(text: string, namespace: string): TcpListenSetting {
  const [name, address] = splitAssignment('--listen-tcp', text, 'name=address, such as db=127.0.0.1:5432');
  return { ...parseServicePort(name, namespace), listen: parseListenAddress(address) };
}
