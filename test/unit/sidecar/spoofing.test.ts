/** Whatever a client writes into a request, the application hears of one caller, the one that the mesh has proven. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { printFigures } from '../../support/figures.ts';
import { LocalMesh } from '../../support/local-mesh.ts';
import { Conversation, startHttpApp, startSidecar } from '../../support/local-sidecars.ts';

const CALLER = 'spiffe://skein.mesh/ns/default/sa/web';
const CLAIM = 'spiffe://skein.mesh/ns/default/sa/admin';

/** One name, as those may write it who hope that somebody behind us reads it as that. */
const SPELLINGS: readonly string[] = [
  ...['x-skein-client-id', 'X-Skein-Client-Id', 'X-SKEIN-CLIENT-ID', 'x-SKEIN-client-ID', 'X-skein-Client-iD'],
  // Gateways of CGI, WSGI and PHP make one letter of several: `_` of all, or of some.
  ...['x_skein_client_id', 'X_SKEIN_CLIENT_ID', 'x_skein-client-id', 'x-skein_client-id', 'x-skein-client_id'],
  ...['x_skein_client-id', 'x-skein_client_id', 'x_skein-client_id', 'X_Skein_Client_Id', 'x-Skein_Client_ID'],
  ...['x.skein.client.id', 'X.Skein.Client.Id', 'x.skein-client-id', 'x-skein.client-id', 'x-skein-client.id'],
  ...['x.skein_client-id', 'x_skein.client.id', 'x-skein-client+id', 'x+skein+client+id', 'x~skein~client~id'],
  ...['x!skein!client!id', 'x#skein#client#id', 'x$skein$client$id', 'x%skein%client%id', 'x&skein&client&id'],
  ...["x'skein'client'id", 'x*skein*client*id', 'x^skein^client^id', 'x`skein`client`id', 'x|skein|client|id'],
  // gRPC reads what ends so as bytes.
  ...['x-skein-client-id-bin', 'X-Skein-Client-Id-Bin', 'x_skein_client_id_bin', 'x.skein.client.id.bin'],
  'x-skein_client.id-bin',
];

interface Heard {
  readonly head: readonly string[];
  readonly trailers: readonly string[];
}

/** The values of all that a lenient server could take for the field. */
function read(fields: readonly string[]): string[] {
  const isIt = (name = ''): boolean => /^X_SKEIN_CLIENT_ID(_BIN)?$/.test(name.toUpperCase().replace(/[^A-Z0-9]/g, '_'));
  return fields.filter((_, i) => i % 2 === 1 && isIt(fields[i - 1]));
}

test(`${SPELLINGS.length} spellings in heads, twice, in trailers and by HTTP/2: the application hears of one caller`, async (t) => {
  const mesh = await LocalMesh.start(t);
  const heard: Heard[] = [];
  const app = await startHttpApp(t, (request, response) => {
    request.resume();
    request.on('end', () => {
      heard.push({ head: request.rawHeaders, trailers: request.rawTrailers });
      response.end('ok');
    });
  });
  await startSidecar(t, mesh, { services: ['api'], expose: [{ service: 'api', target: `http://${app.address}` }] });
  const { proxy } = await startSidecar(t, mesh, { services: ['web'], listen: { http: '127.0.0.1:0' } });
  const session = connect(`http://${proxy}`);
  session.on('error', () => undefined);
  t.after(() => session.destroy());

  async function say(head: string, body = ''): Promise<void> {
    const start = `POST http://api.mesh/ HTTP/1.1\r\nHost: api.mesh\r\nConnection: close\r\n${head}`;
    const answer = await new Conversation(t, proxy).say(`${start}\r\n${body}`).untilEnd();
    ok(/^HTTP\/1\.1 200 /.test(answer), `${head}${body}${answer}`);
  }
  function sayByH2(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream = session.request({ ':path': '/', ':authority': 'api.mesh', [name.toLowerCase()]: CLAIM });
      stream.on('response', ({ ':status': status }) => (status === 200 ? undefined : reject(new Error(`${status}`))));
      stream.on('end', resolve);
      stream.on('error', reject);
      stream.resume();
      stream.end();
    });
  }

  let asked = 0;
  for (const name of SPELLINGS) {
    const ways: readonly (readonly [way: string, say: () => Promise<void>])[] = [
      ['header', () => say(`${name}: ${CLAIM}\r\nContent-Length: 0\r\n`)],
      ['duplicate', () => say(`${name}: ${CLAIM}\r\nx-other: 1\r\n${name}: ${CALLER}\r\nContent-Length: 0\r\n`)],
      ['trailer', () => say('Transfer-Encoding: chunked\r\n', `1\r\nx\r\n0\r\n${name}: ${CLAIM}\r\n\r\n`)],
      ['h2', () => sayByH2(name)],
    ];
    for (const [way, ask] of ways) {
      await ask();
      asked++;
      equal(heard.length, asked);
      const { head = [], trailers = [] } = heard.at(-1) ?? {};
      deepEqual(read(head), [CALLER], `${name}, ${way}`);
      deepEqual(read(trailers), [], `${name}, ${way}`);
    }
  }
  printFigures('spoofed identities', { spellings: SPELLINGS.length, asked });
});
