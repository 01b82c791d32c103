/** chisel: its client carries TCP to its server over SSH in a WebSocket, with the server's key checked and a login. */
import { freePorts } from '../../test/support/port.ts';
import { findGoProgram } from './go-program.ts';
import { startPair } from './pair.ts';
import type { Peer } from './peer.ts';

export const CHISEL: Peer = {
  name: 'chisel',

  find: () => findGoProgram({ command: 'chisel', importPath: 'github.com/jpillora/chisel', version: 'v1.11.3' }),

  async start(command, origin) {
    const [serverPort = 0, clientPort = 0] = await freePorts(2);
    const login = ['--auth', 'bench:bench'];
    const server = ['server', '--host', '127.0.0.1', '--port', String(serverPort), ...login];
    const tunnel = `127.0.0.1:${clientPort}:${origin.address}`;
    const client = ['client', ...login, `http://127.0.0.1:${serverPort}`, tunnel];
    return startPair(
      {
        name: this.name,
        description: 'chisel client to chisel server, TCP over SSH over a WebSocket',
        configuration: [`chisel ${client.join(' ')}`, `chisel ${server.join(' ')}`],
      },
      command,
      { inner: { args: server, port: serverPort }, outer: { args: client, port: clientPort } },
    );
  },
};
