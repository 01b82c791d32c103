/** A Worker in the mesh: what it is asked it asks `api`, a service behind some NAT; and as `edge` it answers the mesh itself. */
import { callMesh, MeshObject as MemberObject, type MeshObjectOptions, type ObjectNamespace } from 'skein/workerd';

interface Env {
  readonly MESH: ObjectNamespace;
  readonly SKEIN_HUB: string;
  readonly SKEIN_TOKEN?: string;
}

/** The one member of the mesh that all instances of this Worker share. A Worker that only calls exports skein's own class as it is. */
export class MeshObject extends MemberObject<Env> {
  protected override configure(): MeshObjectOptions {
    return { ...super.configure(), serve: { edge: answerMesh } };
  }
}

/** The service `edge`: who calls is proven by the session, and in `x-skein-client-id`. A hono app's `fetch` would do as well. */
function answerMesh(request: Request): Response {
  return new Response(request.body, {
    headers: {
      'content-type': request.headers.get('content-type') ?? 'application/octet-stream',
      'x-caller': request.headers.get('x-skein-client-id') ?? '',
    },
  });
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    return callMesh(env.MESH, `http://api.mesh${pathname}${search}`, request);
  },
  /** A Worker that serves wants to be in the mesh before anybody calls it. */
  async scheduled(_event: unknown, env: Env): Promise<void> {
    await callMesh(env.MESH, 'http://api.mesh/', { method: 'HEAD' });
  },
};
