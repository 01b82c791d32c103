/** nginx → nginx over TLS 1.3 with client certificates, as its manual advises for a proxy: kept connections, sessions reused. */
import { Nginx, TestAuthority } from '../../test/support/nginx.ts';
import { freePorts } from '../../test/support/port.ts';
import { findCommand, type Peer } from './peer.ts';

const TUNING = 'sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 75s;';
const PROXIED = `
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;`;

export const NGINX = nginxPair(1);

/** @param workers of each of the two */
export function nginxPair(workers: number): Peer {
  return {
    name: workers === 1 ? 'nginx → nginx TLS' : `nginx → nginx TLS, ${workers} workers each`,

    find: () => findCommand('nginx', ['-v'], 'Debian: apt-get install nginx-light'),

    async start(_, origin) {
      const [innerPort, outerPort] = await freePorts(2);
      const authority = new TestAuthority();
      const server = authority.issue('inner', ['DNS:inner.test', 'IP:127.0.0.1']);
      const client = authority.issue('outer', ['DNS:outer.test']);
      const innerConfiguration = `${TUNING}
  upstream origin { server ${origin.address}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${innerPort} ssl;
    ssl_certificate ${server.certificatePath};
    ssl_certificate_key ${server.keyPath};
    ssl_client_certificate ${authority.certificatePath};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_cache shared:inner:1m;
    location / { proxy_pass http://origin; ${PROXIED} }
  }`;
      const outerConfiguration = `${TUNING}
  upstream inner { server 127.0.0.1:${innerPort}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${outerPort};
    location / {
      proxy_pass https://inner; ${PROXIED}
      proxy_ssl_certificate ${client.certificatePath};
      proxy_ssl_certificate_key ${client.keyPath};
      proxy_ssl_trusted_certificate ${authority.certificatePath};
      proxy_ssl_verify on;
      proxy_ssl_name inner.test;
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_session_reuse on;
    }
  }`;
      const inner = await Nginx.start({ http: innerConfiguration, workers });
      const outer = await Nginx.start({ http: outerConfiguration, workers });
      return {
        name: this.name,
        description: `nginx to nginx over TLS 1.3 with client certificates, HTTP/1.1 and kept connections, workers of each: ${workers}`,
        configuration: [outerConfiguration, innerConfiguration],
        address: `127.0.0.1:${outerPort}`,
        pids: () => ({ proxies: [...outer.pids(), ...inner.pids()] }),
        close: async () => {
          await outer.stop();
          await inner.stop();
          authority.remove();
        },
      };
    },
  };
}
