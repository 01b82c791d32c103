/** frp: frps listens for clients, and frpc, beside the origin, carries what they send; TLS between the two is its default. */
import { freePorts } from '../../test/support/port.ts';
import { Program } from '../../test/support/process.ts';
import { waitUntilListening } from '../kit/port.ts';
import { findGoProgram } from './go-program.ts';
import { Folder } from './pair.ts';
import type { Found, Peer } from './peer.ts';

const find = (command: 'frps' | 'frpc'): Found =>
  findGoProgram({ command, importPath: `github.com/fatedier/frp/cmd/${command}`, version: 'v0.65.0' });

export const FRP: Peer = {
  name: 'frp',

  find() {
    const client = find('frpc');
    return 'missing' in client ? client : find('frps');
  },

  async start(serverCommand, origin) {
    const clientCommand = find('frpc');
    if ('missing' in clientCommand) throw new Error(clientCommand.missing);
    const [bindPort = 0, entryPort = 0] = await freePorts(2);
    const [originHost, originPort] = origin.address.split(':');
    const folder = new Folder();
    const server = `bindAddr = "127.0.0.1"\nproxyBindAddr = "127.0.0.1"\nbindPort = ${bindPort}\nauth.token = "bench"\n`;
    const client = `serverAddr = "127.0.0.1"
serverPort = ${bindPort}
auth.token = "bench"
[[proxies]]
name = "app"
type = "tcp"
localIP = "${originHost}"
localPort = ${originPort}
remotePort = ${entryPort}
`;
    const frps = new Program(serverCommand, ['-c', folder.write('frps.toml', server)], { name: 'frps' });
    await waitUntilListening(bindPort, frps);
    const frpc = new Program(clientCommand.command, ['-c', folder.write('frpc.toml', client)], { name: 'frpc' });
    await waitUntilListening(entryPort, frps); // it listens for what the client has asked for
    return {
      name: this.name,
      description: 'frps to frpc over TLS, TCP carried in streams of one connection',
      configuration: [server, client],
      address: `127.0.0.1:${entryPort}`,
      pids: () => ({ proxies: [frps.pid, frpc.pid] }),
      close: async () => {
        await frpc.kill();
        await frps.kill();
        folder.remove();
      },
    };
  },
};
