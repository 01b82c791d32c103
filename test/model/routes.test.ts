/** The router's indexes against a naive reading of the specification, over random routes and requests, in any order of the routes. */
import { deepEqual } from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import type { GrpcMatch } from '../../src/catalog/grpc-route.ts';
import type { HttpMatch, ValueMatch } from '../../src/catalog/http-match.ts';
import type { ParentRef } from '../../src/catalog/meta.ts';
import type { Route } from '../../src/catalog/route.ts';
import { toDestination } from '../../src/router/destination.ts';
import { RouteTable } from '../../src/router/table.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { lacking } from '../runtime/capabilities.ts';
import { effort } from '../support/effort.ts';
import { printFigures } from '../support/figures.ts';
import { requestHead } from '../support/http.ts';
import { decide, type OracleRequest, type Verdict } from '../support/route-oracle.ts';
import { routeSet } from '../support/routes.ts';

const ROUTE_SETS = effort(100_000);

// Few words, so that matches meet: most requests are taken by several.
const EXACT = ['/', '/a', '/a/', '/a/b', '/b'];
const PREFIXES = ['/', '/', '/a', '/a/', '/a/b', '/a/b/', '/ab'];
const PATTERNS = ['/.*', '/a.*', '/[ab]', '/a/b', '.*b'];
const PATHS = ['/', '/a', '/a', '/a/', '/a/b', '/a/b', '/a/b/c', '/ab', '/b', '/A', '*', ''];
const QUERIES = ['', '', '?q=1', '?q=2&q=1', '?q=%31', '?Q=1', '?q=1&r=2', '?q'];
const NAMES = ['x-a', 'X-A', 'x-b'];
const VALUES = ['1', '2'];
const SERVICES = ['', 'p.S', 'p.T'];
const NAMES_OF_CALLS = ['', 'Get', 'List'];
const NAMESPACES = ['default', 'default', 'default', 'default', 'web', 'other'];
const AGES = ['', '2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z'];

class Generator {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  routes(): Route[] {
    const kinds = this.#chance(0.8) ? ['HTTPRoute'] : ['HTTPRoute', 'GRPCRoute', 'TCPRoute'];
    const names = ['b', 'a', 'c', 'd'];
    return this.#some(1, 4, (i) => this.#route(this.#random.pick(kinds), names[i] as string));
  }

  request(): OracleRequest {
    const isCall = this.#chance(0.15);
    const headers = this.#some(0, 3, () => [this.#random.pick(NAMES), this.#random.pick(VALUES)] as const);
    const call = `/${this.#random.pick(['p.S', 'p.T', 'p'])}/${this.#random.pick(['Get', 'List', 'Put'])}`;
    return {
      method: isCall ? 'POST' : this.#random.pick(['GET', 'PUT']),
      path: isCall ? call : this.#random.pick(PATHS) + this.#random.pick(QUERIES),
      headers: isCall ? [...headers, ['content-type', 'application/grpc'] as const] : headers,
      port: this.#random.pick([80, 81]),
      callerNamespace: this.#random.pick(['default', 'web']),
    };
  }

  /** The same in another order. */
  reordered<T>(items: readonly T[]): T[] {
    const start = this.#random.integer(items.length);
    const turned = [...items.slice(start), ...items.slice(0, start)];
    return this.#chance(0.5) ? turned : turned.reverse();
  }

  #route(kind: string, name: string): Route {
    const namespace = this.#random.pick(NAMESPACES);
    const meta = { namespace, name, createdAt: this.#random.pick(AGES), parentRefs: this.#parents(), hostnames: [] };
    const nothing = { filters: [], backendRefs: [] };
    if (kind === 'TCPRoute') return { ...meta, kind, rules: [{ backendRefs: [] }] };
    if (kind === 'GRPCRoute') {
      const rules = this.#some(1, 2, () => ({ ...nothing, matches: this.#some(1, 2, () => this.#grpcMatch()) }));
      return { ...meta, kind, rules };
    }
    const rules = this.#some(1, 2, () => ({
      ...nothing,
      timeouts: {},
      matches: this.#some(1, 2, () => this.#httpMatch()),
    }));
    return { ...meta, kind: 'HTTPRoute', rules };
  }

  #parents(): ParentRef[] {
    const parent = { group: '', kind: 'Service', namespace: 'default', name: 'api' };
    if (this.#chance(0.7)) return [parent];
    return this.#some(1, 2, (i) => ({ ...parent, port: 80 + i, name: this.#random.pick(['api', 'api', 'web']) }));
  }

  #httpMatch(): HttpMatch {
    return {
      path: this.#path(),
      headers: this.#chance(0.3) ? this.#some(1, 3, () => this.#value(NAMES)) : [],
      queryParams: this.#chance(0.2) ? this.#some(1, 2, () => this.#value(['q', 'r'])) : [],
      method: this.#chance(0.2) ? this.#random.pick(['GET', 'PUT'] as const) : undefined,
    };
  }

  #path(): HttpMatch['path'] {
    const kind = this.#random.ratio();
    if (kind < 0.25) return { type: 'Exact', value: this.#random.pick(EXACT) };
    if (kind < 0.3) return { type: 'RegularExpression', value: this.#random.pick(PATTERNS) };
    return { type: 'PathPrefix', value: this.#random.pick(PREFIXES) };
  }

  #value(names: readonly string[]): ValueMatch {
    const name = this.#random.pick(names);
    if (this.#chance(0.05)) return { type: 'RegularExpression', name, value: '[1-9]' };
    return { type: 'Exact', name, value: this.#random.pick(VALUES) };
  }

  #grpcMatch(): GrpcMatch {
    const headers = this.#chance(0.4) ? this.#some(1, 2, () => this.#value(NAMES)) : [];
    const service = this.#random.pick(SERVICES);
    const method = this.#random.pick(NAMES_OF_CALLS);
    if (service === '' && method === '') return { headers };
    if (this.#chance(0.15)) return { headers, method: { type: 'RegularExpression', service: 'p[.].*', method } };
    return { headers, method: { type: 'Exact', service, method } };
  }

  #some<T>(least: number, most: number, make: (i: number) => T): T[] {
    return Array.from({ length: least + this.#random.integer(most - least + 1) }, (_, i) => make(i));
  }

  #chance(ratio: number): boolean {
    return this.#random.ratio() < ratio;
  }
}

function ask(table: RouteTable, { method, path, headers, port }: OracleRequest): Verdict {
  const routes = table.find(toDestination('api.default', port));
  if (routes === undefined) return { kind: 'service' };
  const fields = headers.flatMap(([name, value]) => [name.toLowerCase(), value]);
  const found = routes.match(requestHead({ method, path, fields }));
  if (found === undefined) return { kind: 'no-match' };
  const { route, ruleIndex, matchIndex } = found;
  return { kind: 'match', route: `${route.namespace}/${route.name}`, rule: ruleIndex, match: matchIndex };
}

test('Of many random sets of routes the same rule takes a request as the specification says, in any order of the routes', {
  skip: lacking('cpu time'),
}, (t) => {
  const random = new SeededRandom();
  t.diagnostic(random.toString());
  const generator = new Generator(random);
  const counts: Record<Verdict['kind'], number> = { service: 0, 'no-match': 0, match: 0 };
  let contested = 0;
  const start = process.cpuUsage();
  for (let i = 0; i < ROUTE_SETS; i++) {
    const routes = generator.routes();
    const request = generator.request();
    const wanted = decide(routes, request);
    const others = routes.length > 1 ? [generator.reordered(routes)] : [];
    for (const order of [routes, ...others]) {
      const verdict = ask(new RouteTable(routeSet(request.callerNamespace, ...order)), request);
      if (verdict.kind !== wanted.kind || !isSame(verdict, wanted)) {
        deepEqual(verdict, wanted, `${random}, set ${i}: ${JSON.stringify({ request, order }, undefined, 1)}`);
      }
    }
    counts[wanted.kind]++;
    if (wanted.kind === 'match' && routes.length > 1) {
      const rest = routes.filter(({ namespace, name }) => `${namespace}/${name}` !== wanted.route);
      if (decide(rest, request).kind === 'match') contested++;
    }
  }
  const { user, system } = process.cpuUsage(start);
  printFigures('routes against the oracle', {
    sets: ROUTE_SETS,
    ...counts,
    contested,
    cpuMs: Math.round((user + system) / 1000),
  });
  for (const [kind, count] of Object.entries(counts)) deepEqual(count > ROUTE_SETS / 100, true, `${kind}: ${count}`);
  deepEqual(contested > ROUTE_SETS / 20, true, `${contested} contested`);
});

function isSame(a: Verdict, b: Verdict): boolean {
  return a.kind !== 'match' || b.kind !== 'match' || (a.route === b.route && a.rule === b.rule && a.match === b.match);
}
