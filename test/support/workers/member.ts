/** A Worker whose object is a member of the mesh: what comes by HTTP goes to `api.mesh`, and as `edge` and `door` it answers the mesh. */
import { RE2 } from '../../../src/catalog/re2.ts';
import {
  callMesh,
  MeshObject as MemberObject,
  type MeshObjectOptions,
  type ObjectNamespace,
} from '../../../src/workerd.ts';

interface Env {
  readonly MESH: ObjectNamespace;
  readonly DOOR: { fetch(request: Request): Promise<Response> };
  readonly SKEIN_HUB: string;
  readonly SKEIN_TOKEN: string;
  /** Services, separated by commas. */
  readonly SERVE: string;
  /** Not empty: it reads regular expressions. */
  readonly EXPRESSIONS: string;
}

export class MeshObject extends MemberObject<Env> {
  protected override configure(): MeshObjectOptions {
    const by = { edge: answer, door: this.env.DOOR };
    const serve = Object.fromEntries(Object.entries(by).filter(([name]) => this.env.SERVE.split(',').includes(name)));
    const regularExpressions = this.env.EXPRESSIONS === '' ? undefined : RE2;
    return {
      ...super.configure(),
      serve,
      regularExpressions,
      log: { log: (...line) => console.error(JSON.stringify(line)) },
    };
  }

  /** What is sent to `/raw` goes into a raw connection to `echo`, and what comes out of that is the answer. */
  override async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname !== '/raw') return super.fetch(request);
    const { readable, writable } = await this.connect('echo');
    void request.body?.pipeTo(writable).catch(() => undefined); // the answer tells
    return new Response(readable);
  }
}

/** Requests of the mesh, by way of a service binding. */
export const Door = { fetch: answer };

async function answer(request: Request): Promise<Response> {
  const caller = request.headers.get('x-skein-client-id') ?? '';
  const { pathname } = new URL(request.url);
  if (pathname === '/whoami') return new Response(caller);
  if (pathname === '/fail') throw new TypeError('on purpose');
  if (pathname === '/never-read') return new Promise(() => undefined);
  return new Response(request.body, { headers: { 'x-caller': caller } });
}

// biome-ignore lint/style/noDefaultExport: what a Worker is
export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    return callMesh(env.MESH, `http://api.mesh${pathname}${search}`, request);
  },
};
