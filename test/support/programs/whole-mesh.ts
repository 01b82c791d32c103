/** A hub and two members in one program: a call and a connection, then all is closed; the program must end by itself. */
import process from 'node:process';
import { createHub, createMesh } from '../../../src/node.ts';

const hub = await createHub();
const join = async (service: string) =>
  createMesh({ hub: hub.url, token: (await hub.createJoinToken({ services: [service] })).text });
const server = await join('api');
const caller = await join('web');
await server.serve('api', () => new Response('hello'));
const reply = await caller.fetch('http://api.mesh/');
process.stdout.write(`${await reply.text()}\n`);
// An answer that nobody reads to its end must not hold the program either.
await server.serve('api', () => new Response(new ReadableStream()), { port: 81 });
await caller.fetch('http://api.mesh:81/');
await caller.close();
await server.close({ drainMs: 10 });
await hub.close();
process.stdout.write('closed\n');
