/** Who is compared: two proxies in a row on one machine, in front of one origin. All run at once; only one is loaded. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { TestMesh } from '../test/support/mesh.ts';
import { Nginx, TestAuthority } from '../test/support/nginx.ts';
import { freePorts } from '../test/support/port.ts';
import { Program } from '../test/support/process.ts';

export interface Contender {
  readonly name: string;
  /** What exactly is measured. */
  readonly description: string;
  /** `host:port` of the first proxy. */
  readonly address: string;
  /** Host field to send. */
  readonly host?: string;
  /** Lua that tells wrk what to ask. */
  readonly script?: string;
  /** Processes whose time counts, by group. */
  pids(): Readonly<Record<string, readonly number[]>>;
}

export interface Contenders {
  readonly contenders: { readonly nginx: Contender; readonly skein: Contender; readonly pipe: Contender };
  readonly versions: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function startContenders(downloadBytes: number): Promise<Contenders> {
  const closers: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (const each of closers.reverse()) await each();
  };
  try {
    const folder = mkdtempSync(join(tmpdir(), 'skein-bench-'));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'large'), Buffer.alloc(downloadBytes, 'skein'));
    const [originPort, innerPort, outerPort] = await freePorts(3);
    const origin = await Nginx.start({ http: originConfiguration(`127.0.0.1:${originPort}`, folder) });
    closers.push(() => origin.stop());
    const [nginx, closeNginx] = await startNginxPair(
      `127.0.0.1:${originPort}`,
      innerPort as number,
      outerPort as number,
    );
    closers.push(closeNginx);
    const [pipe, closePipe] = await startPipes(`127.0.0.1:${originPort}`);
    closers.push(closePipe);
    const [skein, closeSkein] = await startSkeinPair(`127.0.0.1:${originPort}`);
    closers.push(closeSkein);
    return { contenders: { nginx, skein, pipe }, versions: readVersions(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** nginx as its manual advises for a proxy: HTTP/1.1 and kept connections to the upstream, TLS sessions reused. */
async function startNginxPair(
  origin: string,
  innerPort: number,
  outerPort: number,
): Promise<[Contender, () => Promise<void>]> {
  const authority = new TestAuthority();
  const server = authority.issue('inner', ['DNS:inner.test', 'IP:127.0.0.1']);
  const client = authority.issue('outer', ['DNS:outer.test']);
  const proxied = `
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;`;
  const tuning = 'sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 75s;';
  const inner = await Nginx.start({
    http: `${tuning}
  upstream origin { server ${origin}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${innerPort} ssl;
    ssl_certificate ${server.certificatePath};
    ssl_certificate_key ${server.keyPath};
    ssl_client_certificate ${authority.certificatePath};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_cache shared:inner:1m;
    location / { proxy_pass http://origin; ${proxied} }
  }`,
  });
  const outer = await Nginx.start({
    http: `${tuning}
  upstream inner { server 127.0.0.1:${innerPort}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${outerPort};
    location / {
      proxy_pass https://inner; ${proxied}
      proxy_ssl_certificate ${client.certificatePath};
      proxy_ssl_certificate_key ${client.keyPath};
      proxy_ssl_trusted_certificate ${authority.certificatePath};
      proxy_ssl_verify on;
      proxy_ssl_name inner.test;
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_session_reuse on;
    }
  }`,
  });
  const contender = {
    name: 'nginx',
    description: 'nginx to nginx over TLS 1.3 with client certificates, one worker each',
    address: `127.0.0.1:${outerPort}`,
    pids: () => ({ proxies: [...outer.pids(), ...inner.pids()] }),
  };
  const close = async () => {
    await outer.stop();
    await inner.stop();
    authority.remove();
  };
  return [contender, close];
}

/** The mesh as a user starts it: identity, authorization, routing and metrics on. */
async function startSkeinPair(origin: string): Promise<[Contender, () => Promise<void>]> {
  const mesh = await TestMesh.start();
  try {
    const b = await mesh.startSidecar({ name: 'b', services: ['app'], expose: [`app=http://${origin}`], http: false });
    const a = await mesh.startSidecar({ name: 'a', services: ['client'] });
    const contender = {
      name: 'skein',
      description: 'sidecar to sidecar, records sealed end to end, through the blind relay of one hub',
      address: a.http,
      host: 'app.mesh',
      pids: () => ({ proxies: [a.program.pid, b.program.pid], hub: [mesh.hub.pid] }),
    };
    return [contender, () => mesh.close()];
  } catch (error) {
    await mesh.close();
    throw error;
  }
}

async function startPipes(origin: string): Promise<[Contender, () => Promise<void>]> {
  const self = fileURLToPath(import.meta.url);
  const path = join(self, '..', `raw-pipe${extname(self)}`);
  const start = (to: string) => new Program(process.execPath, [path, to], { name: 'pipe' });
  const inner = start(origin);
  const outer = start((await inner.ready()).addresses.tcp as string);
  const contender = {
    name: 'pipe',
    description: 'TCP pipe to TCP pipe on Node, nothing parsed, nothing encrypted',
    address: (await outer.ready()).addresses.tcp as string,
    pids: () => ({ proxies: [outer.pid, inner.pid] }),
  };
  const close = async () => {
    await outer.kill();
    await inner.kill();
  };
  return [contender, close];
}

function originConfiguration(address: string, folder: string): string {
  return `sendfile on; keepalive_requests 1000000000;
  server {
    listen ${address};
    location = / { default_type text/plain; return 200 "${'skein'.repeat(20)}"; }
    location = /large { alias ${join(folder, 'large')}; }
  }`;
}

function readVersions(): Record<string, string> {
  const nginx = spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr;
  const wrk = spawnSync('wrk', ['-v'], { encoding: 'utf8' });
  return {
    node: process.version,
    nginx: /nginx\/(\S+)/.exec(nginx)?.[1] ?? 'unknown',
    wrk: /wrk (\S+)/.exec(wrk.stdout + wrk.stderr)?.[1] ?? 'unknown',
    openssl: execFileSync('openssl', ['version'], { encoding: 'utf8' }).trim(),
  };
}
