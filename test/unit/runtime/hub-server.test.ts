/** What a hub in a Durable Object believes of who asks. */

import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { HubServer } from '../../../src/runtime/workerd/hub-server.ts';

test('Nobody is on the machine of an object, whatever a field says', async () => {
  const server = new HubServer();
  const seen: string[] = [];
  await server.listen({
    ...{ host: '', port: 0 },
    fetch: (_, { remoteAddress }) => {
      seen.push(remoteAddress);
      return new Response();
    },
  });
  for (const ip of ['203.0.113.9', '2001:db8::9', '127.0.0.1', '::1', '::ffff:127.0.0.1', 'nobody']) {
    const request = new Request('http://hub.example/metrics', { headers: { 'cf-connecting-ip': ip } });
    await server.answer(request, () => undefined);
  }
  deepEqual(seen, ['203.0.113.9:0', '[2001:db8::9]:0', '', '', '', '']);
});
