/** What each worker is told to be: the same as all others, but for what only one can have. */

import type { Redacted } from '../../core/redacted.ts';
import type { SidecarOptions } from '../options.ts';
import { SUPERVISOR_MEMORY } from './shared-files.ts';
import type { WorkerOptions } from './worker.ts';

/** Those of a sidecar, with a token that is there already. */
export type SharedOptions = Omit<SidecarOptions, 'token'> & { readonly token: Redacted<string> | undefined };

export function optionsOf(options: SharedOptions, worker: number): WorkerOptions {
  const {
    token,
    adminToken: _token,
    admin: _admin,
    log: _log,
    signal: _signal,
    accessLog: _accessLog,
    ...same
  } = options;
  const { dns, ...listen } = options.listen ?? {};
  return {
    ...same,
    token: token?.reveal(),
    data: options.data ?? SUPERVISOR_MEMORY,
    // The loopback addresses that it hands out are of one process.
    listen: { ...listen, ...(worker === 0 ? { dns } : {}) },
    direct: directOf(options.direct, worker),
  };
}

/** A peer that connects means one worker: each has a port of its own, one behind the other. */
function directOf(direct: SidecarOptions['direct'], worker: number): SidecarOptions['direct'] {
  if (direct === false || direct === undefined) return direct;
  const { listen, advertise } = direct;
  const move = (port: number): number => (port === 0 ? 0 : port + worker);
  const moveText = (text: string): string => text.replace(/\d+$/, (port) => String(move(Number(port))));
  return {
    ...direct,
    ...(listen === undefined
      ? {}
      : { listen: typeof listen === 'string' ? moveText(listen) : { ...listen, port: move(listen.port) } }),
    ...(advertise === undefined ? {} : { advertise: moveText(advertise) }),
  };
}
