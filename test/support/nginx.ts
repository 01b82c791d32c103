/** Debian's nginx as the tests and benches need it, with keys made by openssl: started in front, stopped by process id. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Program } from './process.ts';

export interface Certificate {
  readonly certificatePath: string;
  readonly keyPath: string;
}

/** A certification authority for one run, and what it signed. */
export class TestAuthority {
  readonly folder: string;
  readonly certificatePath: string;
  readonly #keyPath: string;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'skein-ca-'));
    this.certificatePath = join(this.folder, 'ca.pem');
    this.#keyPath = join(this.folder, 'ca.key');
    openssl([
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=skein test authority', '-addext', 'basicConstraints=critical,CA:TRUE'],
      ...['-keyout', this.#keyPath, '-out', this.certificatePath],
    ]);
  }

  /** @param names subject alternative names, as `IP:127.0.0.1` or `DNS:hub.example` */
  issue(name: string, names: readonly string[]): Certificate {
    const path = (ending: string) => join(this.folder, `${name}.${ending}`);
    openssl([
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`],
      ...['-keyout', path('key'), '-out', path('csr')],
    ]);
    writeFileSync(path('ext'), `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl([
      ...['x509', '-req', '-in', path('csr'), '-CA', this.certificatePath, '-CAkey', this.#keyPath],
      ...['-CAcreateserial', '-days', '2', '-extfile', path('ext'), '-out', path('pem')],
    ]);
    return { certificatePath: path('pem'), keyPath: path('key') };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface NginxOptions {
  /** What stands inside `http { }`. */
  readonly http: string;
  readonly within?: readonly string[];
  /** @default 1 */
  readonly workers?: number;
}

/** One running nginx. */
export class Nginx {
  readonly #folder: string;
  readonly #program: Program;

  private constructor(folder: string, program: Program) {
    this.#folder = folder;
    this.#program = program;
  }

  /** Started means: its sockets listen. */
  static async start(options: NginxOptions): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), 'skein-nginx-'));
    mkdirSync(join(folder, 'temp'));
    writeFileSync(join(folder, 'nginx.conf'), configure(folder, options));
    const program = new Program('nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], {
      within: options.within,
    });
    // Workers start after the sockets listen.
    await program.waitForLog(({ text }) => text.includes('start worker process '));
    return new Nginx(folder, program);
  }

  /** The master and its workers, for measuring. */
  pids(): number[] {
    const { pid } = this.#program;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return [pid, ...children.split(' ').filter(Boolean).map(Number)];
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The `server` block of a plain reverse proxy that ends TLS in front of a hub, as one would write it by hand. */
export function terminatingProxy(listen: string, certificate: Certificate, upstream: string): string {
  return `
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen ${listen} ssl;
    ssl_certificate ${certificate.certificatePath};
    ssl_certificate_key ${certificate.keyPath};
    location / {
      proxy_pass http://${upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 60s;
    }
  }`;
}

function configure(folder: string, { http, workers = 1 }: NginxOptions): string {
  return `
daemon off;
pid ${folder}/nginx.pid;
worker_processes ${workers};
error_log stderr notice;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/temp/body;
  proxy_temp_path ${folder}/temp/proxy;
  fastcgi_temp_path ${folder}/temp/fastcgi;
  uwsgi_temp_path ${folder}/temp/uwsgi;
  scgi_temp_path ${folder}/temp/scgi;
  ${http}
}
`;
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
