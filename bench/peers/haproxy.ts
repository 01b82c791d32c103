/** HAProxy → HAProxy over TLS 1.3 with client certificates, one thread each. */
import { readFileSync } from 'node:fs';
import { TestAuthority } from '../../test/support/nginx.ts';
import { freePorts } from '../../test/support/port.ts';
import { Folder, startPair } from './pair.ts';
import { findCommand, type Peer } from './peer.ts';

const COMMON = `global
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse aggressive
`;

export const HAPROXY: Peer = {
  name: 'HAProxy → HAProxy TLS',

  find: () => findCommand('haproxy', ['-v'], 'Debian: apt-get install haproxy'),

  async start(command, origin) {
    const [innerPort = 0, outerPort = 0] = await freePorts(2);
    const authority = new TestAuthority();
    const folder = new Folder();
    // It takes certificate and key as one file.
    const issue = (name: string) => {
      const { certificatePath, keyPath } = authority.issue(name, [`DNS:${name}.test`]);
      return folder.write(`${name}.pem`, readFileSync(certificatePath, 'utf8') + readFileSync(keyPath, 'utf8'));
    };
    const ca = authority.certificatePath;
    const inner = `${COMMON}frontend inner
  bind 127.0.0.1:${innerPort} ssl crt ${issue('inner')} ca-file ${ca} verify required
  default_backend origin
backend origin
  server origin ${origin.address}
`;
    const outer = `${COMMON}frontend outer
  bind 127.0.0.1:${outerPort}
  default_backend inner
backend inner
  server inner 127.0.0.1:${innerPort} ssl crt ${issue('outer')} ca-file ${ca} verify required verifyhost inner.test sni str(inner.test)
`;
    return startPair(
      {
        name: this.name,
        description: 'HAProxy to HAProxy over TLS 1.3 with client certificates, HTTP/1.1, one thread each',
        configuration: [outer, inner],
      },
      command,
      {
        inner: { args: ['-db', '-f', folder.write('inner.cfg', inner)], port: innerPort },
        outer: { args: ['-db', '-f', folder.write('outer.cfg', outer)], port: outerPort },
      },
      () => {
        folder.remove();
        authority.remove();
      },
    );
  },
};
