/** `raw-pipe.js HOST:PORT`: a TCP relay that parses nothing, the floor of what a hop in this runtime costs. */
import { type AddressInfo, connect, createServer } from 'node:net';
import process from 'node:process';

const { hostname, port } = new URL(`tcp://${process.argv[2]}`);

const server = createServer({ noDelay: true }, (socket) => {
  const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.pipe(upstream).pipe(socket);
  socket.on('error', () => upstream.destroy());
  upstream.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => {
  const addresses = { tcp: `127.0.0.1:${(server.address() as AddressInfo).port}` };
  process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'pipe', addresses })}\n`);
});
