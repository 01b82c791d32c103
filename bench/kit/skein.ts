/** The mesh as a user starts it: identity, authorization, routing and metrics on, each option at its default. */
import { readFileSync } from 'node:fs';
import { TestMesh } from '../../test/support/mesh.ts';
import { runProgram } from '../../test/support/process.ts';
import type { Contender, Running } from './contender.ts';
import type { Origin } from './origin.ts';

export interface SkeinVariant {
  readonly runtime: 'node' | 'bun';
  /** `direct` waits until the session has left the hub; `relay` has direct paths switched off, as behind NATs that allow none. */
  readonly way: 'direct' | 'relay';
  /** Processes of each sidecar. @default 1 */
  readonly workers?: number;
}

/** How long a direct path may take to be found on one machine. */
const DIRECT_WITHIN_MS = 30_000;

export function nameOf({ runtime, way, workers = 1 }: SkeinVariant): string {
  const several = workers === 1 ? '' : `, ${workers} workers each`;
  return `skein on ${runtime === 'node' ? 'Node' : 'Bun'}, ${way === 'direct' ? 'direct' : 'through the relay'}${several}`;
}

export async function startSkeinPair(variant: SkeinVariant, origin: Origin): Promise<Running> {
  const mesh = await TestMesh.start();
  try {
    const { runtime, workers = 1 } = variant;
    const args = workers === 1 ? [] : ['--workers', String(workers)];
    const direct = variant.way === 'direct';
    const expose = [`app=http://${origin.address}`];
    const callee = await mesh.startSidecar({
      name: 'b',
      services: ['app'],
      expose,
      http: false,
      direct,
      runtime,
      args,
    });
    const caller = await mesh.startSidecar({ name: 'a', services: ['client'], direct, runtime, args });
    const off = [...(direct ? [] : ['--no-direct']), ...args].map((arg) => ` ${arg}`).join('');
    const running: Running = {
      name: nameOf(variant),
      description: direct
        ? 'sidecar to sidecar, records sealed end to end, over the direct path they found'
        : 'sidecar to sidecar, records sealed end to end, through the blind relay of one hub (direct paths off)',
      configuration: [
        'skein hub --listen 127.0.0.1:0 --data DIR',
        `skein sidecar --hub URL --token T --expose app=http://${origin.address}${off}`,
        `skein sidecar --hub URL --token T --listen-http 127.0.0.1:0${off}`,
      ],
      address: caller.http,
      host: 'app.mesh',
      pids: () => ({ proxies: [caller, callee].flatMap(({ program }) => familyOf(program.pid)), hub: [mesh.hub.pid] }),
      close: () => mesh.close(),
    };
    await waitForWay(running, variant.way);
    return running;
  } catch (error) {
    await mesh.close();
    throw error;
  }
}

/** A process and its workers. */
function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return [pid, ...children.split(' ').filter(Boolean).map(Number)];
}

/** Asks until an answer says that it came by that way; a direct path takes a moment to be found. */
export async function waitForWay({ address, host = '' }: Contender, way: string): Promise<void> {
  const deadline = performance.now() + DIRECT_WITHIN_MS;
  for (;;) {
    const head = await runProgram('curl', [
      ...['-s', '-o', '/dev/null', '-D', '-', '-H', `Host: ${host}`, '-H', 'x-skein-path: ?'],
      `http://${address}/`,
    ]);
    const [, kind] = /^x-skein-path: (\w+)/im.exec(head) ?? [];
    if (kind === way) return;
    if (performance.now() > deadline) throw new Error(`The session is not ${way} but ${kind}:\n${head}`);
  }
}
