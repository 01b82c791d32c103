/** A Worker without an object: joins for the time of each request, with an identity that outlives it, and passes the request on. */
import { createMesh, type Mesh, SkeinError, type TextStorage } from '../../../src/workerd.ts';

interface Env {
  readonly SKEIN_HUB: string;
  readonly SKEIN_TOKEN: string;
}

interface Context {
  waitUntil(work: Promise<unknown>): void;
}

/** As a KV namespace would: texts, and nothing that belongs to one request. */
const texts = new Map<string, string>();
const storage: TextStorage = {
  get: (key) => Promise.resolve(texts.get(key)),
  put: async (key, value) => void texts.set(key, value),
  delete: async (key) => texts.delete(key),
};

// biome-ignore lint/style/noDefaultExport: what a Worker is
export default {
  async fetch(request: Request, { SKEIN_HUB, SKEIN_TOKEN }: Env, context: Context): Promise<Response> {
    let mesh: Mesh;
    try {
      mesh = await createMesh({ hub: SKEIN_HUB, token: SKEIN_TOKEN, storage, direct: false });
    } catch (thrown) {
      if (!(thrown instanceof SkeinError)) throw thrown;
      return new Response(thrown.message, { status: thrown.status, headers: { 'x-skein-reason': thrown.reason } });
    }
    const { pathname, search } = new URL(request.url);
    const reply = await mesh.fetch(`http://api.mesh${pathname}${search}`, request);
    // The mesh is left when the answer has gone, and not before.
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const gone = reply.body === null ? Promise.resolve() : reply.body.pipeTo(writable);
    context.waitUntil(gone.catch(() => undefined).then(() => mesh.close()));
    return new Response(reply.body === null ? null : readable, reply);
  },
};
