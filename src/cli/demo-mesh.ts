/** The mesh of the demo: a hub in memory, and two sites that know nothing of each other and only dial out to it. */

import type { Logger } from '../core/log.ts';
import type { Listener, Platform } from '../core/platform.ts';
import { createHub, type Hub } from '../hub/hub.ts';
import type { SidecarOptions } from '../sidecar/options.ts';
import { createSidecar, type Sidecar } from '../sidecar/sidecar.ts';
import { listenHello, listenWeb } from './demo-apps.ts';

const ANY_PORT = { host: '127.0.0.1', port: 0 } as const;

export interface DemoMesh {
  readonly hub: Hub;
  /** Site A: `web`, and the HTTP proxy that leads into the mesh. */
  readonly a: Sidecar;
  /** Site B: `hello`. It listens nowhere for others. */
  readonly b: Sidecar;
  /** Where `web` answers people, without the mesh. */
  readonly webUrl: string;
  /** Sidecars first, then the hub; what was begun is finished. */
  drain(): Promise<void>;
}

/** Nothing is written to disk: hub, identities and tokens end with the process. */
export async function startDemoMesh(platform: Platform, log: Logger, signal: AbortSignal): Promise<DemoMesh> {
  const stops: (() => Promise<void>)[] = [];
  const drain = async (): Promise<void> => {
    for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) await stop();
  };
  const keep = async (starting: Promise<Listener>): Promise<string> => {
    const listener = await starting;
    stops.push(() => listener.close());
    return `http://${listener.address}`;
  };
  try {
    const hub = await createHub(platform, { listen: ANY_PORT, store: 'memory', log });
    stops.push(() => hub.drain());
    const join = async (service: string, options: Partial<SidecarOptions>): Promise<Sidecar> => {
      const { text } = await hub.createJoinToken({ services: [service] });
      // On one machine they would find each other; the story is of two sites that cannot.
      const common = { hub: hub.url, token: text, log, signal, direct: false } as const;
      const sidecar = await createSidecar(platform, { ...common, ...options });
      stops.push(() => sidecar.drain());
      return sidecar;
    };
    const hello = await keep(listenHello(platform));
    const b = await join('hello', { expose: [{ service: 'hello', target: hello }], region: 'site-b' });
    const a = await join('web', { listen: { http: ANY_PORT }, admin: ANY_PORT, region: 'site-a' });
    const webUrl = await keep(listenWeb(platform, a.addresses.http ?? ''));
    return { hub, a, b, webUrl, drain };
  } catch (thrown) {
    await drain();
    throw thrown;
  }
}
