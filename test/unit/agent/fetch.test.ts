/** fetch: the request that the handler sees is the one the caller meant, on every runtime. */

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { createFetch } from '../../../src/agent/fetch.ts';
import { getField, type RequestHead } from '../../../src/http/head.ts';
import { RecordingHandler } from '../../support/http.ts';

const METHODS = ['GET', 'get', 'POST', 'PATCH', 'PURGE', 'PROPFIND', 'M-SEARCH', 'FROBNICATE'];

/** Whoever changes a method, as Bun does with those it does not know: here it is a runtime that knows none but GET. */
class ForgetfulRequest extends Request {
  override get method(): string {
    return 'GET';
  }
}

async function fetchWith(method: string): Promise<string> {
  const handler = new RecordingHandler((request) => request.answer(204));
  try {
    await createFetch(handler)('http://api.mesh/', { method });
  } catch (thrown) {
    equal(thrown instanceof TypeError, true, `${method}: ${thrown}`);
    equal(handler.seen.length, 0);
    return 'refused';
  }
  return handler.seen[0]?.head.method ?? '';
}

test('mesh.fetch performs the method it was given, or refuses it; it never performs another', async () => {
  for (const method of METHODS) {
    const seen = await fetchWith(method);
    if (seen !== 'refused') equal(seen.toUpperCase(), method.toUpperCase());
  }
});

test('mesh.fetch refuses a method that the runtime would change', async (t) => {
  const { Request: original } = globalThis;
  globalThis.Request = ForgetfulRequest as typeof Request;
  t.after(() => {
    globalThis.Request = original;
  });
  deepEqual(await Promise.all(['GET', 'get', 'PURGE'].map(fetchWith)), ['GET', 'GET', 'refused']);
});

test('mesh.fetch takes another request for what is to be asked elsewhere, as a proxy passes it on', async () => {
  const body = new Response('some bytes').body;
  const asked = new Request('http://proxy.example/', {
    ...{ method: 'POST', headers: { 'x-kept': 'yes' }, body },
    ...({ duplex: 'half' } as RequestInit),
  });
  const handler = new RecordingHandler((request) => request.answer(204));
  await createFetch(handler)('http://api.mesh/orders', asked);
  const head = handler.seen[0]?.head as RequestHead;
  deepEqual([head.method, head.authority, head.path], ['POST', 'api.mesh', '/orders']);
  equal(getField(head.fields, 'x-kept'), 'yes');
});
