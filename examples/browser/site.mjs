/** The site of the page: three files, and a token for those who may join. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const fileOf = (name) => fileURLToPath(new URL(name, import.meta.url));

/** @param {number} port 0: any that is free */
export async function startSite(port) {
  /** @type {{ hub: string, createToken: () => Promise<string> }} */
  let mesh;
  const { outputFiles } = await build({
    entryPoints: [fileOf('page.js')],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2023',
    conditions: ['browser'],
  });
  const files = {
    '/': ['text/html; charset=utf-8', await readFile(fileOf('index.html'))],
    '/style.css': ['text/css', await readFile(fileOf('style.css'))],
    '/page.js': ['text/javascript', outputFiles[0].contents],
  };
  const server = createServer(async (request, response) => {
    const sources = `script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ${mesh.hub}`;
    response.setHeader('content-security-policy', `default-src 'none'; ${sources}; frame-ancestors 'none'`);
    response.setHeader('cache-control', 'no-store');
    if (request.method === 'POST' && request.url === '/join') {
      // Only this page: another one that a visitor has open cannot ask in his name.
      if (request.headers['sec-fetch-site'] !== 'same-origin') return response.writeHead(403).end();
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify({ token: await mesh.createToken() }));
    }
    if (request.method === 'GET' && request.url === '/hub') return response.end(mesh.hub);
    const [type, content] = files[request.url] ?? [];
    if (content === undefined) return response.writeHead(404).end();
    response.setHeader('content-type', type);
    return response.end(content);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    // By its name: a secure context, in which the browser gives keys.
    url: `http://localhost:${server.address().port}/`,
    /** From now on its pages join this mesh. */
    joins: (to) => {
      mesh = to;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
