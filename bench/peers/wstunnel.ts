/** wstunnel: its client carries TCP to its server over a WebSocket with TLS; the server makes a certificate of its own. */
import { freePorts } from '../../test/support/port.ts';
import { startPair } from './pair.ts';
import { findCommand, type Peer } from './peer.ts';

export const WSTUNNEL: Peer = {
  name: 'wstunnel',

  find: () =>
    findCommand('wstunnel', ['--version'], 'its releases have it: https://github.com/erebe/wstunnel/releases'),

  async start(command, origin) {
    const [serverPort = 0, clientPort = 0] = await freePorts(2);
    const server = ['server', `wss://127.0.0.1:${serverPort}`];
    const client = ['client', '-L', `tcp://127.0.0.1:${clientPort}:${origin.address}`, `wss://127.0.0.1:${serverPort}`];
    return startPair(
      {
        name: this.name,
        description: 'wstunnel client to wstunnel server, TCP over WebSockets with TLS',
        configuration: [`wstunnel ${client.join(' ')}`, `wstunnel ${server.join(' ')}`],
      },
      command,
      { inner: { args: server, port: serverPort }, outer: { args: client, port: clientPort } },
    );
  },
};
