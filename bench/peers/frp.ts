/** frp: frps listens for clients, and frpc, beside the origin, carries what they send; TLS between the two is its default. */
import { freePorts } from '../../test/support/port.ts';
import { Program } from '../../test/support/process.ts';
import { waitUntilListening } from '../kit/port.ts';
import { Folder } from './pair.ts';
import { findCommand, type Peer } from './peer.ts';

export const FRP: Peer = {
  name: 'frp',

  find() {
    const server = findCommand('frps', ['--version'], 'github.com/fatedier/frp');
    return 'missing' in server ? server : findCommand('frpc', ['--version'], 'github.com/fatedier/frp');
  },

  async start(_, origin) {
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
    const frps = new Program('frps', ['-c', folder.write('frps.toml', server)], { name: 'frps' });
    await waitUntilListening(bindPort, frps);
    const frpc = new Program('frpc', ['-c', folder.write('frpc.toml', client)], { name: 'frpc' });
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
