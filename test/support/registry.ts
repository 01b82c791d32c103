/** An npm registry with one package more than the one that this machine uses, which is asked for all others. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PackageManifest {
  readonly name: string;
  readonly version: string;
}

export class Registry {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param tarball as `npm pack` has made it of the folder with this manifest */
  static async start(manifest: PackageManifest, tarball: string): Promise<Registry> {
    const { name, version } = manifest;
    const upstream = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
    const content = readFileSync(tarball);
    const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`;
    const server = createServer((request, response) => {
      const origin = `http://${request.headers.host}`;
      const dist = { tarball: `${origin}/${name}.tgz`, integrity };
      const versions = { [version]: { ...manifest, dist } };
      if (request.url === `/${name}`) {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions }));
      } else if (request.url === `/${name}.tgz`) response.end(content);
      else void pass(new URL((request.url ?? '/').slice(1), upstream), request.headers.accept, response);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new Registry(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function pass(url: URL, accept = '*/*', response: ServerResponse): Promise<void> {
  try {
    const answer = await fetch(url, { headers: { accept } });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' });
    response.end(new Uint8Array(await answer.arrayBuffer()));
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
}
