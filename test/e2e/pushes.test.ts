/** Changes of resources under open connections: each takes effect at once, and none of the connections notices. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { assertUnbroken } from '../support/lasting-kinds.ts';
import { LastingStreams, throughWebSocket } from '../support/lasting-streams.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

const SOCKETS = 1_000;
const PUSHES = 100;
/** Two sidecars have at most 1,024 streams with each other (`TUNNEL_DEFAULTS.maxStreams`). */
const CALLEES = 6;
/** 500 lines a second in all, there and back. */
const LINE_EVERY_MS = 2_000;

describe('Resources that change under open WebSockets', () => {
  let mesh: TestMesh;
  let callees: Sidecar[] = [];
  let caller: Sidecar;

  before(async () => {
    mesh = await TestMesh.start();
    const origin = await mesh.startOrigin();
    const expose = [`api=${origin.http}`, `other=${origin.http}`];
    callees = await Promise.all(
      Array.from({ length: CALLEES }, (_, i) =>
        mesh.startSidecar({ name: `callee ${i}`, services: ['api', 'other'], expose, http: false }),
      ),
    );
    caller = await mesh.startSidecar({ name: 'caller', services: ['web'] });
  });
  after(() => mesh?.close());

  /** Applies something and waits until sidecars have taken it over. */
  async function pushAndWait(manifest: unknown, sidecars: readonly Sidecar[], event: string): Promise<void> {
    const before = sidecars.map(({ program }) => program.count(event));
    await mesh.post('/v1/resources', manifest);
    await Promise.all(
      sidecars.map(({ program }, i) => program.waitForLog(() => program.count(event) > (before[i] ?? 0))),
    );
  }

  it(`None of ${SOCKETS} is closed by ${PUSHES} pushes, and each push takes effect`, async () => {
    const target = { through: caller.http, host: 'api.mesh' };
    const sockets = await LastingStreams.start(SOCKETS, throughWebSocket(target), { periodMs: LINE_EVERY_MS });
    const startedMs = performance.now();
    const seen = new Set<string>();
    for (let i = 0; i < PUSHES; i++) {
      if (i % 2 === 1) {
        await pushAndWait(policy(i), callees, 'policies-changed');
        const denied = await ask({ ...target, path: `/status/${200 + (i % 100)}` });
        assert.equal(denied.status, 403, 'the policy of this push denies this path');
      } else {
        await pushAndWait([route(i), traffic(i)], [caller], 'routes-changed');
        const { status, headers } = await ask({ ...target, path: '/' });
        assert.deepEqual([status, headers['x-push']], [200, String(i)], 'the route of this push takes new requests');
        seen.add(String(headers['x-push']));
      }
    }
    const pushedMs = performance.now() - startedMs;
    const result = await sockets.finish();
    const ms = Math.round(pushedMs);
    printFigures('pushes under WebSockets', { pushes: PUSHES, routesSeen: seen.size, pushMs: ms / PUSHES, ...result });
    assert.equal(result.count, SOCKETS);
    assertUnbroken(result);
    assert.ok(result.received >= SOCKETS, `${result.received} lines came back`);
    assert.deepEqual(mesh.accidents(), []);
  });
});

/** From now on requests get a header of this push; and where WebSockets would be opened, nobody answers any more. */
function route(push: number): object {
  const set = [{ name: 'x-push', value: String(push) }];
  const filters = [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set } }];
  const backendRefs = [
    { name: 'api', port: 80, weight: 1 + (push % 7) },
    { name: 'other', port: 80, weight: push % 3 },
  ];
  const socket = {
    matches: [{ path: { type: 'Exact', value: '/socket' } }],
    backendRefs: [{ name: 'nobody', port: 80 }],
  };
  return {
    kind: 'HTTPRoute',
    metadata: { name: 'api', namespace: 'default' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'api' }], rules: [socket, { filters, backendRefs }] },
  };
}

function traffic(push: number): object {
  return {
    kind: 'BackendTrafficPolicy',
    metadata: { name: 'api', namespace: 'default' },
    spec: { targetRefs: [{ name: 'api' }], circuitBreaker: { maxRequests: SOCKETS + 1 + push } },
  };
}

/** A policy beside the one that lets members of a namespace call each other: one path is denied, another one each time. */
function policy(push: number): object {
  return {
    kind: 'AuthorizationPolicy',
    metadata: { name: 'paths', namespace: 'default' },
    spec: { deny: [{ to: [{ paths: [`/status/${200 + (push % 100)}`] }] }] },
  };
}
