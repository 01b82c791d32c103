/** A Worker that is a member of the mesh for the time of each request, and passes the request on into it. */
import { createMesh, SkeinError } from '../../../src/workerd.ts';

interface Env {
  readonly HUB: string;
  readonly TOKEN: string;
  readonly TARGET: string;
}

// biome-ignore lint/style/noDefaultExport: what a Worker is
export default {
  async fetch(request: Request, { HUB, TOKEN, TARGET }: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    try {
      await using mesh = await createMesh({ hub: HUB, token: request.headers.get('x-token') ?? TOKEN, direct: false });
      const reply = await mesh.fetch(TARGET + pathname, { method: request.method, body: request.body });
      return new Response(await reply.arrayBuffer(), reply);
    } catch (thrown) {
      if (thrown instanceof SkeinError) return Response.json({ code: thrown.code }, { status: thrown.status });
      throw thrown;
    }
  },
};
