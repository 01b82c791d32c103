/** Meshes and requests at random: few words, so that they meet often. */
import { type BackendTrafficPolicy, parseBackendTrafficPolicy } from '../../../src/catalog/backend-traffic-policy.ts';
import { valueOrThrow } from '../../../src/catalog/issue.ts';
import type { Manifest } from '../../../src/catalog/resource.ts';
import type { Route } from '../../../src/catalog/route.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import type { Locality } from '../../../src/router/locality.ts';
import type { RouteTable } from '../../../src/router/table.ts';
import type { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { grpcRoute, httpRoute, manifest, tableWith, tcpRoute } from '../../support/routes.ts';
import { Bench } from './bench.ts';
import { endpoint, requestHead } from './endpoints.ts';

export interface DrawnMesh {
  readonly bench: Bench;
  /** What endpoints were asked, copies left out. */
  readonly arrived: { readonly instance: string; readonly head: RequestHead }[];
  readonly namespace: string;
  readonly here: Locality;
}

class Draw {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  below(count: number): number {
    return this.#random.integer(count);
  }

  of<T>(...items: readonly T[]): T {
    return this.#random.pick(items);
  }

  chance(ratio: number): boolean {
    return this.#random.ratio() < ratio;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }

  maybe<K extends string, V>(ratio: number, name: K, make: () => V): { [key in K]?: V } {
    return (this.chance(ratio) ? { [name]: make() } : {}) as { [key in K]?: V };
  }
}

const PATHS = ['/', '/a', '/a/b', '/a/b/c', '/b', '/ab'] as const;
const NAMES = ['x', 'y', 'Z'] as const;
const VALUES = ['1', '2', '12'] as const;
const METHODS = ['GET', 'POST', 'HEAD', 'OPTIONS'] as const;
const REGIONS = ['', 'eu', 'us'] as const;
const SERVICES = ['v1', 'v2', 'sick', 'db', 'nobody'] as const;

export function drawMesh(random: SeededRandom): DrawnMesh {
  const draw = new Draw(random);
  const here = { region: draw.of(...REGIONS), zone: draw.of('', 'a') };
  const bench = new Bench({ outlierFailures: 2, outlierProbeMs: 200, maxPendingRequests: 4 }, here);
  const namespace = 'default';
  for (const service of ['api', 'copy', ...SERVICES]) {
    const count = service === 'nobody' || (service === 'api' && draw.chance(0.3)) ? 0 : 1 + draw.below(4);
    bench.source.tell(
      `${service}.default`,
      Array.from({ length: count }, (_, i) =>
        endpoint(`${service}-${i}`, {
          service: `${service}.default`,
          protocol: service === 'db' ? 'tcp' : 'http',
          healthy: service !== 'sick' && draw.chance(0.8),
          region: draw.of(...REGIONS),
          zone: draw.of('a', 'b'),
        }),
      ),
    );
  }
  if (draw.chance(0.3)) bench.suspects.add(`v1-${draw.below(4)}`);
  const failing = draw.chance(0.5) ? `${draw.of('v1', 'v2')}-${draw.below(4)}` : '';
  const arrived: DrawnMesh['arrived'] = [];
  bench.behave = (request, { instance }) => {
    if (!instance.startsWith('copy-')) arrived.push({ instance, head: request.head });
    if (instance !== failing) return request.answer(200);
    const fields = draw.chance(0.2) ? ['retry-after', '1'] : [];
    request.reply.onHead({ status: 503, fields, upgrade: undefined }, true);
    bench.clock.advance(draw.below(300));
  };
  if (draw.chance(0.4)) bench.source.policies.set('v1.default', drawPolicy(draw));
  bench.middleware.set('known', (next) => next);
  bench.table = drawTable(draw);
  return { bench, arrived, namespace, here };
}

/** Requests that belong together go to one instance. */
function drawPolicy(draw: Draw): BackendTrafficPolicy {
  const consistentHash = draw.of(
    { type: 'Header', header: { name: 'x' } },
    { type: 'QueryParam', queryParam: { name: 'x' } },
  );
  const spec = {
    targetRefs: [{ group: '', kind: 'Service', name: 'v1' }],
    loadBalancer: { type: 'ConsistentHash', consistentHash },
    ...draw.maybe(0.5, 'outlierDetection', () => ({ consecutiveFailures: 1 })),
  };
  const metadata = { name: 'p', namespace: 'default' };
  return valueOrThrow(parseBackendTrafficPolicy({ kind: 'BackendTrafficPolicy', metadata, spec }), 'policy');
}

function drawTable(draw: Draw): RouteTable {
  const routes = draw.some(4, () => drawRoute(draw)).map((make, i) => make(`r${i}`));
  const extensions: Manifest[] = [
    manifest('DirectResponse', { status: draw.of(200, 204, 503), body: 'hi' }, { name: 'direct' }),
  ].map(({ spec, ...rest }) => {
    const { parentRefs: _, ...own } = spec as Record<string, unknown>;
    return { ...rest, spec: own };
  });
  return tableWith(extensions, ...routes);
}

function drawRoute(draw: Draw): (name: string) => Route {
  const parent = { group: '', kind: 'Service', name: 'api', namespace: 'default' };
  const parentRefs = [{ ...parent, ...draw.maybe(0.2, 'port', () => draw.of(80, 81)) }];
  const meta = {
    namespace: draw.of('default', 'default', 'default', 'other'),
    creationTimestamp: draw.of('2026-01-01T00:00:00Z', '2025-01-01T00:00:00Z'),
  };
  const kind = draw.below(24);
  if (kind === 0) {
    const rules = [{ backendRefs: [{ name: 'db', port: 80 }] }];
    return (name) => tcpRoute({ parentRefs, rules }, { name, ...meta });
  }
  if (kind <= 2) {
    const rules = [{ matches: draw.some(3, () => drawGrpcMatch(draw)), backendRefs: drawBackends(draw, false) }];
    return (name) => grpcRoute({ parentRefs, rules }, { name, ...meta });
  }
  const rules = Array.from({ length: 1 + draw.below(4) }, () => drawRule(draw));
  if (draw.chance(0.6)) rules.push({ backendRefs: drawBackends(draw, true) });
  return (name) => httpRoute({ parentRefs, rules }, { name, ...meta });
}

function drawRule(draw: Draw): object {
  const matches = draw.some(3, () => drawMatch(draw));
  const isPrefix = matches.length === 1 && (matches[0] as { path?: { type: string } }).path?.type === 'PathPrefix';
  const filters = drawFilters(draw, isPrefix);
  const isRedirect = filters.some(({ type }) => type === 'RequestRedirect');
  return {
    matches,
    filters,
    backendRefs: isRedirect ? [] : drawBackends(draw, isPrefix),
    ...draw.maybe(0.2, 'timeouts', () => ({ request: draw.of('0s', '5s') })),
    ...draw.maybe(0.2, 'retry', () => ({ attempts: 1, codes: [503] })),
  };
}

function drawMatch(draw: Draw): object {
  const type = draw.of('Exact', 'PathPrefix', 'PathPrefix', 'RegularExpression');
  return {
    ...draw.maybe(0.7, 'path', () => ({
      type,
      value: type === 'RegularExpression' ? draw.of('/a.*', '/[ab]') : draw.of(...PATHS),
    })),
    ...draw.maybe(0.2, 'method', () => draw.of(...METHODS)),
    headers: draw.chance(0.3) ? [{ name: draw.of(...NAMES), value: draw.of(...VALUES) }] : [],
    queryParams: draw.chance(0.2)
      ? [{ type: draw.of('Exact', 'RegularExpression'), name: draw.of(...NAMES), value: draw.of(...VALUES) }]
      : [],
  };
}

function drawGrpcMatch(draw: Draw): object {
  return {
    ...draw.maybe(0.7, 'method', () => ({
      service: draw.of('a', 'b'),
      ...draw.maybe(0.5, 'method', () => draw.of('b', 'c')),
    })),
    headers: draw.chance(0.3) ? [{ name: draw.of(...NAMES), value: draw.of(...VALUES) }] : [],
  };
}

function drawFilters(draw: Draw, isPrefix: boolean): { readonly type: string }[] {
  const path =
    isPrefix && draw.chance(0.5)
      ? { type: 'ReplacePrefixMatch', replacePrefixMatch: draw.of('/', '/new', '') }
      : { type: 'ReplaceFullPath', replaceFullPath: '/whole' };
  const copyTo = { backendRef: { name: draw.of('copy', 'nobody'), port: 80 }, percent: draw.of(0, 50, 100) };
  const edit = { set: [{ name: draw.of(...NAMES), value: 'set' }], remove: ['gone'] };
  const reference = draw.of(
    ['DirectResponse', 'direct'],
    ['DirectResponse', 'missing'],
    ['Middleware', 'known'],
    ['Middleware', 'missing'],
  );
  const choices = [
    { type: 'RequestHeaderModifier', requestHeaderModifier: edit },
    { type: 'ResponseHeaderModifier', responseHeaderModifier: edit },
    { type: 'URLRewrite', urlRewrite: { hostname: 'new.example', path } },
    { type: 'RequestRedirect', requestRedirect: { path, ...draw.maybe(0.5, 'port', () => 8443) } },
    { type: 'RequestMirror', requestMirror: copyTo },
    { type: 'CORS', cors: { allowOrigins: ['https://a.example'] } },
    { type: 'ExtensionRef', extensionRef: { group: 'skein.dev', kind: reference[0], name: reference[1] } },
  ];
  const chosen = choices.filter(() => draw.chance(0.15));
  return chosen.some(({ type }) => type === 'RequestRedirect')
    ? chosen.filter(({ type }) => type !== 'URLRewrite')
    : chosen;
}

function drawBackends(draw: Draw, isPrefix: boolean): object[] {
  return Array.from({ length: draw.chance(0.05) ? 0 : 1 + draw.below(3) }, () => ({
    name: draw.chance(0.9) ? draw.of('v1', 'v2') : draw.of(...SERVICES),
    port: draw.chance(0.95) ? 80 : 81,
    weight: draw.chance(0.1) ? 0 : 1 + draw.below(3),
    ...draw.maybe(0.05, 'kind', () => 'Strange'),
    ...draw.maybe(0.05, 'namespace', () => 'elsewhere'),
    ...draw.maybe(0.2, 'filters', () =>
      drawFilters(draw, isPrefix).filter(({ type }) => /Header|ExtensionRef|Mirror/.test(type)),
    ),
  }));
}

export function drawHead(random: SeededRandom): RequestHead {
  const draw = new Draw(random);
  const isGrpc = draw.chance(0.2);
  const query = draw.some(2, () => `${draw.of(...NAMES)}=${draw.of(...VALUES)}`).join('&');
  const fields = draw.some(3, () => [draw.of('x', 'y', 'z', 'gone'), draw.of(...VALUES)]).flat();
  if (isGrpc) fields.push('content-type', 'application/grpc');
  if (isGrpc && draw.chance(0.2)) fields.push('grpc-timeout', draw.of('0m', '5S'));
  if (draw.chance(0.2))
    fields.push('origin', draw.of('https://a.example', 'https://b.example'), 'access-control-request-method', 'PUT');
  return requestHead({
    method: isGrpc ? 'POST' : draw.of(...METHODS),
    authority: draw.chance(0.9)
      ? 'api.mesh'
      : draw.of('api.mesh:81', 'example.com', '', 'nobody.mesh', 'v1.mesh', 'sick.mesh'),
    path: `${draw.of(...PATHS, '/a/', '/b/c', '*')}${query === '' ? '' : `?${query}`}`,
    fields,
  });
}
