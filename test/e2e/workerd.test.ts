import { deepEqual, equal, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import type { Mesh } from '../../src/agent/mesh.ts';
import type { HubOptions } from '../../src/hub/options.ts';
import { lacking } from '../runtime/capabilities.ts';
import { deterministicChunks, deterministicDigest } from '../support/deterministic-bytes.ts';
import { printFigures } from '../support/figures.ts';
import { LocalMesh } from '../support/local-mesh.ts';
import { Workerd } from '../support/workerd.ts';

const noWorkerd = lacking('workerd');
const MIB = 1024 * 1024;
const BODY_BYTES = 64 * MIB;
const MOST_ROUNDS = 4;
const MAX_GROWTH_MIB = 16;
const ROOM_FOR_STRANGERS = {
  ...{ instancesPerSecond: 1_000, instancesBurst: 1_000, callsPerSecond: 10_000, callsBurst: 10_000 },
  ...{ circuitsPerSecond: 1_000, circuitsBurst: 1_000 },
};
const toMiB = (bytes: number): number => Math.round((bytes / MIB) * 10) / 10;

/** A hub and `api` in this process, and a Worker of test/support/workers that calls it. */
class Edge {
  readonly mesh: LocalMesh;
  readonly api: Mesh;
  readonly #t: TestContext;

  private constructor(t: TestContext, mesh: LocalMesh, api: Mesh) {
    this.#t = t;
    this.mesh = mesh;
    this.api = api;
  }

  static async start(t: TestContext, limits?: HubOptions['limits']): Promise<Edge> {
    const mesh = await LocalMesh.start(t, { limits });
    const { mesh: api } = await mesh.join(['api', 'echo']);
    await api.listen('echo', ({ readable, writable }) => void readable.pipeTo(writable).catch(() => undefined));
    await api.serve('api', (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === '/mirror') return new Response(request.body);
      return new Response(`hello ${request.headers.get('x-skein-client-id')}`);
    });
    return new Edge(t, mesh, api);
  }

  /** Ends with the test. */
  async worker(token: string, name = 'member', folder?: string, expressions = ''): Promise<Workerd> {
    const worker = await Workerd.start(
      {
        entry: `test/support/workers/${name}.ts`,
        vars: { SKEIN_HUB: this.mesh.hub.url, SKEIN_TOKEN: token, SERVE: 'edge,door', EXPRESSIONS: expressions },
        ...(name === 'member' ? { objects: { MESH: 'MeshObject' }, services: { DOOR: 'Door' } } : {}),
      },
      folder,
    );
    this.#t.after(() => worker.close());
    return worker;
  }

  async apply(resource: object): Promise<void> {
    const { url, adminToken } = this.mesh.hub;
    const headers = { authorization: `Bearer ${adminToken.reveal()}`, 'content-type': 'application/json' };
    const address = `${url.replace('ws', 'http')}/v1/resources`;
    const { status } = await fetch(address, { method: 'POST', headers, body: JSON.stringify(resource) });
    equal(status, 200);
  }

  newToken(): Promise<string> {
    return this.mesh.token(['edge', 'door']);
  }
}

/** `totalBytes` that nobody makes before they are asked for, and how many were. */
function countedBody(totalBytes: number): { readonly body: ReadableStream<Uint8Array>; readonly sent: () => number } {
  const chunks = deterministicChunks(totalBytes);
  let sentBytes = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const { done, value } = chunks.next();
        if (done) return controller.close();
        sentBytes += value.length;
        controller.enqueue(new Uint8Array(value));
      },
    },
    { highWaterMark: 0 },
  );
  return { body, sent: () => sentBytes };
}

async function digestOf({ body }: Response): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of body ?? []) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

const upload = (body: ReadableStream<Uint8Array>): RequestInit & { duplex: 'half' } => ({
  ...{ method: 'POST', body, duplex: 'half' },
});

describe('A Durable Object in the mesh', { skip: noWorkerd }, () => {
  it('Calls for its Workers, and serves by functions and by bindings, each side knowing who calls', async (t) => {
    const edge = await Edge.start(t);
    const worker = await edge.worker(await edge.newToken());
    const reply = await fetch(worker.url);
    equal(await reply.text(), 'hello spiffe://skein.mesh/ns/default/sa/edge');
    for (const name of ['edge', 'door']) {
      equal(await (await edge.api.fetch(`http://${name}.mesh/whoami`)).text(), 'spiffe://skein.mesh/ns/default/sa/api');
    }
    const failed = await edge.api.fetch('http://edge.mesh/fail');
    deepEqual([failed.status, failed.headers.get('x-skein-reason')], [500, 'internal']);
    const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(worker.url)));
    ok(answers.every(({ status }) => status === 200));
  });

  it('Reads regular expressions of routes when it is given what reads them, and else fails what they decide about', async (t) => {
    const edge = await Edge.start(t);
    const to = (path: object): object => ({ matches: [{ path }], backendRefs: [{ name: 'api', port: 80 }] });
    const rules = [to({ type: 'Exact', value: '/plain' }), to({ type: 'RegularExpression', value: '/v[0-9]+' })];
    const parentRefs = [{ group: '', kind: 'Service', name: 'api' }];
    await edge.apply({ kind: 'HTTPRoute', metadata: { name: 'r', namespace: 'default' }, spec: { parentRefs, rules } });
    for (const [expressions, paths] of [
      ['RE2', { '/plain': 200, '/v7': 200, '/other': 404 }],
      ['', { '/plain': 200, '/v7': 500, '/other': 500 }],
    ] as const) {
      const worker = await edge.worker(await edge.newToken(), 'member', undefined, expressions);
      for (const [path, status] of Object.entries(paths)) {
        const reply = await fetch(worker.url + path);
        const reason = { 200: null, 404: 'no-route', 500: 'route-invalid' }[status];
        deepEqual([reply.status, reply.headers.get('x-skein-reason')], [status, reason], `${expressions} ${path}`);
      }
    }
  });

  it('Opens raw connections', async (t) => {
    const edge = await Edge.start(t);
    const worker = await edge.worker(await edge.newToken());
    const { body } = countedBody(MIB);
    equal(await digestOf(await fetch(`${worker.url}/raw`, upload(body))), deterministicDigest(MIB));
  });

  it('Carries bodies both ways, no faster than they are read', async (t) => {
    const edge = await Edge.start(t);
    const worker = await edge.worker(await edge.newToken());
    const ways: Record<string, (init: RequestInit) => Promise<Response>> = {
      out: (init) => fetch(`${worker.url}/mirror`, init),
      in: (init) => edge.api.fetch('http://door.mesh/', init),
    };
    const figures: Record<string, object> = {};
    for (const [way, call] of Object.entries(ways)) {
      const growthsMiB: number[] = [];
      let aheadMiB = 0;
      // The first round makes a process what it is. Behind that a collector comes when it likes; what leaks shows in every round.
      while (growthsMiB.length < 2 || (growthsMiB.length < MOST_ROUNDS && growthsMiB.at(-1)! > MAX_GROWTH_MIB)) {
        worker.program.resetPeak();
        const beforeKib = worker.program.rssKib();
        const { body, sent } = countedBody(BODY_BYTES);
        const reply = await call(upload(body));
        // Nobody reads the answer yet: whoever makes the request has to stop, while others go on.
        for (let i = 0; i < 20; i++) equal((await fetch(worker.url)).status, 200);
        aheadMiB = Math.max(aheadMiB, toMiB(sent()));
        equal(await digestOf(reply), deterministicDigest(BODY_BYTES));
        growthsMiB.push(toMiB((worker.program.peakRssKib() - beforeKib) * 1024));
      }
      figures[way] = { aheadMiB, growthsMiB };
      ok(aheadMiB < 32, `${way}: ${aheadMiB} MiB sent that nobody reads`);
      ok(growthsMiB.at(-1)! <= MAX_GROWTH_MIB, `${way}: the process grew by ${growthsMiB} MiB`);
    }
    printFigures('workerd 64 MiB each way', figures);
  });

  it('Is who it was when it starts again, with no token, and before anybody calls', async (t) => {
    const edge = await Edge.start(t);
    const first = await edge.worker(await edge.newToken());
    equal((await edge.api.fetch('http://edge.mesh/whoami')).status, 404);
    await (await fetch(first.url)).text();
    equal((await edge.api.fetch('http://edge.mesh/whoami')).status, 200);
    await first.stop();

    const again = await edge.worker('', 'member', first.folder);
    // Its alarm may have half a minute to go yet, and nobody calls through it.
    await again.program.waitForLog(({ text }) => text.includes('hub-connected'));
    while ((await edge.api.fetch('http://edge.mesh/whoami')).status !== 200) await new Promise(setImmediate);
    equal(await (await fetch(again.url)).text(), 'hello spiffe://skein.mesh/ns/default/sa/edge');
  });

  it('Answers with the reason when its token was used by another, or is forged', async (t) => {
    const edge = await Edge.start(t);
    const token = await edge.newToken();
    await edge.mesh.join([], { token });
    const robbed = await edge.worker(token);
    const refused = await fetch(robbed.url);
    deepEqual([refused.status, refused.headers.get('x-skein-reason')], [401, 'token-used']);
    const [head = '', ...rest] = (await edge.newToken()).split('_');
    const forged = await edge.worker([head, ...rest.map((part) => part.replace(/.$/, 'A'))].join('_').slice(0, -8));
    const denied = await fetch(forged.url);
    deepEqual([denied.status, denied.headers.get('x-skein-reason')], [401, 'token-invalid']);
  });
});

describe('A Worker without an object', { skip: noWorkerd }, () => {
  it('Joins for the time of a request, keeps its identity, and streams', async (t) => {
    // One identity, a new instance for each request: hubs take one a second, and 64 at once, unless they are told otherwise.
    const edge = await Edge.start(t, ROOM_FOR_STRANGERS);
    const worker = await edge.worker(await edge.newToken(), 'passer-by');
    for (let i = 0; i < 3; i++) {
      equal(await (await fetch(worker.url)).text(), 'hello spiffe://skein.mesh/ns/default/sa/edge');
    }
    const { body } = countedBody(4 * MIB);
    equal(await digestOf(await fetch(`${worker.url}/mirror`, upload(body))), deterministicDigest(4 * MIB));

    const COUNT = 200;
    const figures: Record<string, number> = {};
    for (const callers of [1, 8]) {
      let left = COUNT;
      const startedMs = performance.now();
      const call = async () => {
        for (; left > 0; left--)
          equal(await (await fetch(worker.url)).text(), 'hello spiffe://skein.mesh/ns/default/sa/edge');
      };
      await Promise.all(Array.from({ length: callers }, call));
      const tookMs = performance.now() - startedMs;
      figures[`perSecondBy${callers}`] = Math.round((COUNT / tookMs) * 1000);
      figures[`msBy${callers}`] = Math.round((tookMs / COUNT) * callers * 10) / 10;
    }
    printFigures('workerd without an object', figures);
  });

  it('Is told why it may not join', async (t) => {
    const edge = await Edge.start(t);
    const token = await edge.newToken();
    await edge.mesh.join([], { token });
    const worker = await edge.worker(token, 'passer-by');
    const refused = await fetch(worker.url);
    deepEqual([refused.status, refused.headers.get('x-skein-reason')], [401, 'token-used']);
    // Nobody may use a member of another request, so that the next one begins anew.
    deepEqual((await fetch(worker.url)).status, 401);
  });
});
