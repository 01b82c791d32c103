/** `hono-app.js HUB TOKEN SERVICE`: a hono application that joins the mesh as a library and listens on no port. */
import process from 'node:process';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { createMesh } from '../../../src/node.ts';

const [hub = '', token = '', service = ''] = process.argv.slice(2);

const app = new Hono()
  .get('/orders/:id', (context) => context.json({ order: context.req.param('id') }))
  .post('/upper', async (context) => context.text((await context.req.text()).toUpperCase()))
  .get('/caller', (context) => context.text(context.req.header('x-skein-client-id') ?? 'nobody'))
  .get('/events', (context) =>
    streamSSE(context, async (stream) => {
      for (let i = 0; i < 3; i++) await stream.writeSSE({ data: String(i) });
    }),
  );

const mesh = await createMesh({ hub, token });
await mesh.serve(service, app.fetch);
process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'application', addresses: {} })}\n`);
process.on('SIGTERM', () => void mesh.close().then(() => process.exit(0)));
