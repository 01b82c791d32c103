/** A Durable Object as a party of the interop matrix; each by its name. `POST /NAME?hub=…&token=…` lets it join, `GET /NAME?call=…` makes it call. */
import { createMesh, type Mesh, workerdPlatform } from '../../../src/workerd.ts';
import { callParty, serveParty } from '../interop/party.ts';

export class Party {
  #mesh: Mesh | undefined;

  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    try {
      if (request.method === 'POST') {
        const [hub = '', token = ''] = ['hub', 'token'].map((each) => searchParams.get(each) ?? '');
        this.#mesh = await createMesh({ hub, token, direct: false });
        await serveParty(this.#mesh, pathname.slice(1), workerdPlatform().name);
        return Response.json({});
      }
      if (this.#mesh === undefined) throw new TypeError('It has not joined');
      return Response.json(await callParty(this.#mesh, searchParams.get('call') ?? ''));
    } catch (thrown) {
      return Response.json({ error: String(thrown) }, { status: 500 });
    }
  }
}

interface Env {
  readonly PARTIES: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

// biome-ignore lint/style/noDefaultExport: what a Worker is
export default {
  fetch(request: Request, { PARTIES }: Env): Promise<Response> {
    return PARTIES.get(PARTIES.idFromName(new URL(request.url).pathname)).fetch(request);
  },
};
