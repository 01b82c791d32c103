/** The stub resolver on real sockets: the runtime's own resolver asks it, and programs connect to what it answers. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { lacking } from '../../runtime/capabilities.ts';
import { LocalMesh } from '../../support/local-mesh.ts';
import { Conversation, startHttpApp, startSidecar, startTcpApp } from '../../support/local-sidecars.ts';

const noVips = lacking('loopback addresses beyond 127.0.0.1');

interface Lab {
  readonly resolver: Resolver;
  readonly address: { readonly host: string; readonly port: number };
}

/** `web` resolves; `api` serves requests on port 8080 of the mesh, `db` bytes on 5432 and 5433. */
async function lab(t: TestContext): Promise<Lab> {
  const mesh = await LocalMesh.start(t);
  const api = await startHttpApp(t, ({ headers, url }, response) => response.end(`${headers.host}${url}`));
  const db = await startTcpApp(t, (socket) => socket.end('220 db\r\n'));
  await startSidecar(t, mesh, {
    services: ['api', 'db'],
    expose: [
      { service: 'api', port: 8080, target: `http://${api.address}` },
      { service: 'db', port: 5432, target: `tcp://${db.address}` },
      { service: 'db', port: 5433, target: `tcp://${db.address}` },
    ],
  });
  const { sidecar } = await startSidecar(t, mesh, { services: ['web'], listen: { dns: '127.0.0.1:0' } });
  const [host = '', port = ''] = (sidecar.addresses.dns ?? '').split(':');
  const resolver = new Resolver({ timeout: 20_000, tries: 1 });
  resolver.setServers([`${host}:${port}`]);
  return { resolver, address: { host, port: Number(port) } };
}

test('Names of the mesh resolve, short and whole, and to the same address', { skip: noVips }, async (t) => {
  const { resolver } = await lab(t);
  const [address = ''] = await resolver.resolve4('api.mesh');
  match(address, /^127\.80\./);
  deepEqual(await resolver.resolve4('api.default.mesh'), [address]);
  deepEqual(await resolver.resolve4('API.Mesh.'), [address]);
  await rejects(resolver.resolve6('api.mesh')); // Bun and Deno have one code for "no such name" and "no address of that kind"
  await rejects(resolver.resolve4('nobody.mesh'), { code: 'ENOTFOUND' });
  await rejects(resolver.resolve4('no.such.name.mesh'), { code: 'ENOTFOUND' });
});

test('SRV tells the ports of a service', { skip: noVips }, async (t) => {
  const { resolver } = await lab(t);
  const found = await resolver.resolveSrv('_postgres._tcp.db.mesh');
  deepEqual(found.map(({ name, port }) => `${name}:${port}`).sort(), ['db.mesh:5432', 'db.mesh:5433']);
});

test('What was resolved is reached: requests and bytes, each on its port', { skip: noVips }, async (t) => {
  const { resolver } = await lab(t);
  const [api = ''] = await resolver.resolve4('api.mesh');
  const request = new Conversation(t, `${api}:8080`);
  request.say('GET /x HTTP/1.1\r\nHost: api.mesh:8080\r\nConnection: close\r\n\r\n');
  match(await request.untilEnd(), /^HTTP\/1\.1 200 [\s\S]*api\.mesh:8080\/x/);
  const stranger = new Conversation(t, `${api}:8080`);
  stranger.say('GET /x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n');
  match(await stranger.untilEnd(), /^HTTP\/1\.1 421 /, 'a page that a foreign name led here');
  const [db = ''] = await resolver.resolve4('db.mesh');
  for (const port of [5432, 5433]) equal(await new Conversation(t, `${db}:${port}`).untilEnd(), '220 db\r\n');
});

test('By TCP questions are answered in order, broken ones end the connection, silent ones cost nothing', {
  skip: noVips,
}, async (t) => {
  const { address } = await lab(t);
  const question = (id: number, name: string): Buffer => {
    const labels = Buffer.concat(name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])));
    const message = Buffer.concat([
      Buffer.from([0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      labels,
      Buffer.from([0, 0, 1, 0, 1]),
    ]);
    return Buffer.concat([Buffer.from([0, message.length]), message]);
  };
  const socket = connect(address);
  t.after(() => socket.destroy());
  const all = Buffer.concat([question(1, 'api.mesh'), question(2, 'nobody.mesh'), question(3, 'db.mesh')]);
  socket.write(all.subarray(0, 7));
  socket.write(all.subarray(7));
  socket.end();
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  const answers: [id: number, code: number][] = [];
  for (let rest = Buffer.concat(chunks); rest.length > 0; rest = rest.subarray(2 + rest.readUInt16BE(0))) {
    answers.push([rest.readUInt16BE(2), rest.readUInt16BE(4) & 0xf]);
  }
  deepEqual(answers, [
    [1, 0],
    [2, 3],
    [3, 0],
  ]);
  const rude = connect(address);
  rude.on('error', () => undefined);
  rude.write(Buffer.from([0xff, 0xff, 1, 2, 3]));
  await new Promise((resolve) => rude.on('close', resolve));
});

test('Garbage by UDP is not answered, or refused, and harms nobody', { skip: noVips }, async (t) => {
  const { resolver, address } = await lab(t);
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.send(Buffer.from([1, 2, 3]), address.port, address.host);
  const ask = async (message: string): Promise<string> => {
    const replied = once(socket, 'message');
    socket.send(Buffer.from(message, 'hex'), address.port, address.host);
    const [reply] = (await replied) as [Buffer];
    return reply.toString('hex');
  };
  equal(await ask('abcd01000002000000000000'), 'abcd80010000000000000000');
  // The name exists, and has no address of that kind: no error, no record.
  const [name, aaaa] = ['0361706904 6d65736800'.replace(' ', ''), '001c0001'];
  equal(await ask(`abce01000001000000000000${name}${aaaa}`), `abce85800001000000000000${name}${aaaa}`);
  ok((await resolver.resolve4('api.mesh')).length === 1);
});
