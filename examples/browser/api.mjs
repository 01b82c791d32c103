/** An application of Node that knows nothing of the mesh: HTTP and TCP on ports of this machine that nobody outside can dial. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PatternCheck, patternFrom } from './pattern.js';

const CHUNK_BYTES = 64 * 1024;

export async function startApi() {
  let proxy;
  const http = createServer((incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url, 'http://api.mesh');
    const route = { '/hello': hello, '/upload': upload, '/download': download, '/ask': ask }[pathname] ?? notFound;
    route(incoming, outgoing, { searchParams, proxy }).catch(() => outgoing.destroy());
  });
  const tcp = createTcpServer((socket) => socket.on('error', () => undefined).pipe(socket));
  return {
    http: await listen(http, 'http'),
    tcp: await listen(tcp, 'tcp'),
    /** Where a request to `http://….mesh/` goes: the proxy of the sidecar beside this application. */
    useProxy: (url) => {
      proxy = new URL(url);
    },
    async close() {
      http.closeAllConnections();
      await Promise.all([http, tcp].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

async function listen(server, scheme) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `${scheme}://127.0.0.1:${server.address().port}`;
}

/** The sidecar says who asks; nobody else can. */
async function hello(incoming, outgoing) {
  outgoing.end(
    `Hello, ${incoming.headers['x-skein-client-id']}. I run on Node ${process.versions.node}, behind a sidecar.`,
  );
}

async function upload(incoming, outgoing) {
  const check = new PatternCheck();
  for await (const chunk of incoming) check.take(chunk);
  outgoing.setHeader('content-type', 'application/json');
  outgoing.end(JSON.stringify({ bytes: check.bytes, isWhole: check.isWhole }));
}

async function download(_incoming, outgoing, { searchParams }) {
  const bytes = Number(searchParams.get('bytes'));
  const chunks = function* () {
    for (let at = 0; at < bytes; at += CHUNK_BYTES) yield patternFrom(at, Math.min(CHUNK_BYTES, bytes - at));
  };
  await pipeline(Readable.from(chunks()), outgoing);
}

/** Asks a page: `screen` is served by whoever has the page open. */
async function ask(_incoming, outgoing, { proxy }) {
  const asked = request({ host: proxy.hostname, port: proxy.port, path: 'http://screen.mesh/' });
  asked.end();
  const [answer] = await once(asked, 'response');
  outgoing.statusCode = answer.statusCode;
  await pipeline(answer, outgoing);
}

async function notFound(_incoming, outgoing) {
  outgoing.statusCode = 404;
  outgoing.end('There is /hello, /upload, /download and /ask.\n');
}
