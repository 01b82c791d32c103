/** The two small applications of the demo: `hello` answers, `web` asks it through the sidecar beside it. */

import { request } from 'node:http';
import { SkeinError } from '../core/errors.ts';
import type { Listener, Platform } from '../core/platform.ts';

/** Set by the mesh from the proven identity of the caller; no caller can bring its own. */
const CALLER_FIELD = 'x-skein-client-id';

const TEXT = { 'content-type': 'text/plain; charset=utf-8' } as const;

/** What came back through the mesh. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Answers who asked, as the mesh has proven it. */
export function listenHello(platform: Platform): Promise<Listener> {
  return listen(platform, ({ headers }) => {
    const caller = headers.get(CALLER_FIELD) ?? 'nobody that the mesh knows';
    return new Response(`hello from site B, ${caller}\n`, { headers: TEXT });
  });
}

/** Asks `hello` for each visitor, and shows what it said. @param proxy of the sidecar beside it */
export function listenWeb(platform: Platform, proxy: string): Promise<Listener> {
  return listen(platform, async () => {
    try {
      const { status, text } = await askThrough(proxy, 'http://hello.mesh/');
      return new Response(`web at site A asked http://hello.mesh/ and got ${status}: ${text}`, { headers: TEXT });
    } catch (error) {
      return new Response(`web at site A could not ask: ${String(error)}\n`, { status: 502, headers: TEXT });
    }
  });
}

/** One request of an application to the proxy beside it, which goes by the host's name. */
export function askThrough(proxy: string, url: string): Promise<Answer> {
  const { hostname, port } = new URL(proxy);
  const { host, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path: `${pathname}${search}`, headers: { host } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

function listen(platform: Platform, fetch: (request: Request) => Response | Promise<Response>): Promise<Listener> {
  if (platform.listenHttp === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot start demo: ${platform.name} cannot listen`);
  }
  return platform.listenHttp({ host: '127.0.0.1', port: 0, fetch });
}
