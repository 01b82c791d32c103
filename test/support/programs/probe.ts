/** `probe.js listen HOST:PORT` holds a port open; `probe.js connect HOST:PORT` says how a connection attempt ends. */
import { type AddressInfo, connect, createServer } from 'node:net';
import process from 'node:process';

/** Longer than a first retransmission of SYN (1 s), so that one lost packet is no verdict. */
const VERDICT_MS = 2_500;

const [mode, to = ''] = process.argv.slice(2);
const { hostname, port } = new URL(`tcp://${to}`);

if (mode === 'listen') {
  const server = createServer((socket) => {
    // Whoever has its verdict leaves at once, which may come back as a reset.
    socket.on('error', () => undefined);
    socket.end('reached\n');
  });
  server.listen(Number(port), hostname, () => {
    const addresses = { tcp: `${hostname}:${(server.address() as AddressInfo).port}` };
    process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'probe', addresses })}\n`);
  });
} else {
  const socket = connect(Number(port), hostname);
  const end = (verdict: string) => {
    process.stdout.write(`${verdict}\n`);
    process.exit(0);
  };
  socket.setTimeout(VERDICT_MS, () => end('nothing'));
  socket.on('data', () => end(`connected ${hostname}`));
  socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'error'));
}
