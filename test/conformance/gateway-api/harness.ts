/** A mesh for the suite, and how a case is run in it: resources applied by a hub, real sockets, what arrived compared whole. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Agent } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { TestContext } from 'node:test';
import { parseManifests } from '../../../src/cli/manifest.ts';
import { metadataOf, resourcePath } from '../../../src/cli/resource-name.ts';
import type { AccessRecord } from '../../../src/telemetry/access-log.ts';
import { type Answer, ask } from '../../support/load.ts';
import { LocalMesh } from '../../support/local-mesh.ts';
import { ANY_PORT, type JoinOptions, type LocalSidecar, startSidecar } from '../../support/local-sidecars.ts';
import { EchoOrigin, type Report } from './origin.ts';

export const MESH = 'gateway-conformance-mesh';
export const CONSUMER = 'gateway-conformance-mesh-consumer';

export const INFRA = 'gateway-conformance-infra';

export type ClientName = 'mesh' | 'consumer' | 'infra';

/** One request and all that is expected of it. Whatever is not said arrives as it was sent. */
export interface Row {
  readonly from?: ClientName;
  /** `service[:port]`, as the client names it. */
  readonly to?: string;
  /** Connects to the local address of `to`, and names this host: by default it asks the proxy for `to`. */
  readonly host?: string;
  readonly method?: string;
  /** With its query; KEY becomes another text each time. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** It depends on time: another try is allowed on a machine that is slow just now. */
  readonly isTimed?: boolean;
  readonly status?: number | readonly number[];
  /** Who answers, and what is spoken there. */
  readonly backend?: string;
  readonly protocol?: Report['protocol'];
  /** What arrives there; null: no such field. */
  readonly arrives?: {
    readonly path?: string;
    readonly host?: string;
    readonly headers?: Readonly<Record<string, string | null>>;
  };
  /** Name of the rule that took it, as metrics and access log have it. */
  readonly rule?: string;
  /** How often it was tried. */
  readonly attempts?: number;
  /** Fields of the answer; null: no such field. */
  readonly answer?: Readonly<Record<string, string | null>>;
}

export interface Case {
  /** As upstream calls it. */
  readonly id: string;
  /** YAML; a manifest that names no namespace is in this one. */
  readonly namespace?: string;
  readonly manifests?: string;
  /** For all rows that do not say it themselves. */
  readonly from?: ClientName;
  readonly to?: string;
  /** `Kind/name` → every condition of its parents, as `type status reason`. */
  readonly status?: Readonly<Record<string, readonly string[]>>;
  readonly rows?: readonly Row[];
  /** What no row can say. */
  readonly check?: (mesh: GatewayMesh, t: TestContext) => Promise<void>;
}

/** Tries of a row that depends on time. */
const TRIES = 10;

interface Client {
  readonly sidecar: LocalSidecar;
  readonly namespace: string;
  /** Requests of its own that are over. */
  readonly access: AccessRecord[];
}

export class GatewayMesh {
  readonly #mesh: LocalMesh;
  readonly #origins = new Map<string, EchoOrigin>();
  readonly #clients = new Map<ClientName, Client>();

  private constructor(mesh: LocalMesh) {
    this.#mesh = mesh;
  }

  /** Ends with what `t` is: a test, or all of a file. */
  static async start(t: Pick<TestContext, 'after'>): Promise<GatewayMesh> {
    const local = await LocalMesh.start(t);
    const mesh = new GatewayMesh(local);
    await local.hub.apply([
      {
        apiVersion: 'skein.dev/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: 'everybody', namespace: 'mesh' },
        spec: { allow: [{}] },
      },
    ]);
    await mesh.#startMembers(t);
    await mesh.#warm();
    return mesh;
  }

  async #startMembers(t: Pick<TestContext, 'after'>): Promise<void> {
    const join = async (client: ClientName | undefined, options: JoinOptions): Promise<void> => {
      const access: AccessRecord[] = [];
      const accessLog = (record: AccessRecord): void => void (record.direction === 'outbound' && access.push(record));
      const sidecar = await startSidecar(t, this.#mesh, { accessLog, ...options });
      if (client !== undefined) this.#clients.set(client, { sidecar, namespace: options.namespace ?? '', access });
    };
    for (const version of ['v1', 'v2']) {
      const name = `echo-${version}`;
      const origin = await EchoOrigin.start(t, name);
      this.#origins.set(name, origin);
      await join(version === 'v1' ? 'mesh' : undefined, {
        namespace: MESH,
        services: ['echo', name],
        expose: ['echo', name].flatMap((service) => [
          ...[80, 8080].map((port) => ({ service, port, target: `http://${origin.http}` })),
          { service, port: 7070, target: `h2c://${origin.h2c}` },
          { service, port: 9090, target: `tcp://${origin.tcp}` },
        ]),
        listen: {
          http: ANY_PORT,
          tcp: ['echo-v1', 'echo-v2', 'echo'].map((service) => ({ service, address: ANY_PORT })),
        },
      });
    }
    for (const version of ['v1', 'v2', 'v3']) {
      const name = `infra-backend-${version}`;
      const origin = await EchoOrigin.start(t, name);
      this.#origins.set(name, origin);
      const exposed: [service: string, target: string][] = [
        [name, `http://${origin.http}`],
        [`grpc-${name}`, `h2c://${origin.h2c}`],
        [`tcp-${name}`, `tcp://${origin.tcp}`],
      ];
      if (version === 'v1') exposed.push(['same-namespace', `http://${origin.http}`]);
      await join(undefined, {
        namespace: INFRA,
        services: exposed.map(([service]) => service),
        expose: exposed.map(([service, target]) => ({
          service,
          port: service === 'same-namespace' ? 80 : 8080,
          target,
        })),
      });
    }
    await join('infra', {
      namespace: INFRA,
      services: ['client'],
      listen: {
        http: ANY_PORT,
        tcp: [9090, 9091].map((port) => ({ service: 'same-namespace', port, address: ANY_PORT })),
      },
    });
    const web = await EchoOrigin.start(t, 'web-backend');
    const target = `http://${web.http}`;
    await join('consumer', {
      namespace: CONSUMER,
      services: ['echo-v1', 'web-backend', 'kept-backend'],
      expose: ['web-backend', 'kept-backend'].map((service) => ({ service, port: 8080, target })),
      listen: { http: ANY_PORT },
    });
  }

  /** Every client knows every service that a case may be about, and is told of its routes from now on. */
  async #warm(): Promise<void> {
    for (const [from, { namespace }] of this.#clients) {
      if (from === 'infra') {
        await this.ask({ from, to: 'same-namespace' });
        continue;
      }
      for (const service of ['echo', 'echo-v1', 'echo-v2']) {
        await this.ask({ from, to: namespace === MESH ? service : `${service}.${MESH}.mesh` });
      }
    }
  }

  origin(name: string): EchoOrigin {
    const found = this.#origins.get(name);
    if (found === undefined) throw new RangeError(`No application "${name}"`);
    return found;
  }

  client(name: ClientName): Client {
    const found = this.#clients.get(name);
    if (found === undefined) throw new RangeError(`No client "${name}"`);
    return found;
  }

  /** `host:port` at which a client reaches `service[:port]` without a proxy. */
  localAddress(from: ClientName, service: string): string {
    return this.client(from).sidecar.sidecar.addresses[`tcp:${service}`] ?? '';
  }

  /** One request; `to` is asked of the proxy unless `host` is another name inside a connection to it. */
  ask({ from = 'mesh', to = '', host, method = 'GET', path = '/', headers = {} }: Row, agent?: Agent): Promise<Answer> {
    const { sidecar } = this.client(from);
    const through = host === undefined ? sidecar.proxy : this.localAddress(from, to);
    const form = host === undefined ? 'absolute' : 'host';
    return ask({ through, host: host ?? to, form, method, path, headers, ...(agent === undefined ? {} : { agent }) });
  }

  /** An HTTP/2 connection to the proxy of a client. */
  connect(t: TestContext, from: ClientName = 'mesh'): ClientHttp2Session {
    const session = connect(`http://${this.client(from).sidecar.proxy}`);
    session.on('error', () => undefined);
    t.after(() => session.destroy());
    return session;
  }

  async run(t: TestContext, { id, manifests, status = {}, rows = [], check, ...shared }: Case): Promise<void> {
    const { from = 'mesh' } = shared;
    const { namespace = this.client(from).namespace } = shared;
    const parsed = manifests === undefined ? [] : parseManifests(id, manifests).map(({ manifest }) => manifest);
    const applied = parsed.map((manifest) => withNamespace(manifest as Manifest, namespace));
    await this.#change(applied, true);
    try {
      for (const [name, conditions] of Object.entries(status)) {
        deepEqual(await this.#conditions(name, namespace), conditions, name);
      }
      for (const row of rows) await this.#runRow({ ...shared, ...row });
      await check?.(this, t);
    } finally {
      await this.#change(applied, false);
    }
  }

  /** Applies or deletes, and waits until every client routes by it. */
  async #change(manifests: readonly Manifest[], isThere: boolean): Promise<void> {
    if (manifests.length === 0) return;
    if (isThere) await this.#mesh.hub.apply(manifests);
    else for (const manifest of manifests) await this.#delete(manifest);
    const routes = manifests.filter(({ kind }) => kind.endsWith('Route'));
    for (const { sidecar, namespace } of this.#clients.values()) {
      const keys = routes.filter((route) => concerns(route, namespace)).map(toKey);
      const { log } = sidecar;
      for (;;) {
        const known = (log.of('routes-changed').at(-1)?.fields.routes ?? []) as readonly string[];
        if (keys.every((key) => known.includes(key) === isThere)) break;
        await log.waitFor('routes-changed', log.of('routes-changed').length + 1);
      }
    }
  }

  async #delete(manifest: Manifest): Promise<void> {
    const { kind, namespace, name } = metadataOf(manifest, MESH);
    await this.#administer('DELETE', resourcePath(kind, namespace, name));
  }

  async #conditions(resource: string, namespace: string): Promise<readonly string[]> {
    const [kind = '', name = ''] = resource.split('/');
    const { status } = JSON.parse(await this.#administer('GET', resourcePath(kind, namespace, name))) as Told;
    return status.parents.flatMap(({ conditions }) =>
      conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    );
  }

  async #administer(method: string, path: string): Promise<string> {
    const { hub } = this.#mesh;
    const headers = { authorization: `Bearer ${hub.adminToken.reveal()}` };
    const response = await fetch(`${hub.url.replace('ws:', 'http:')}${path}`, { method, headers });
    const text = await response.text();
    equal(response.status < 300, true, `${method} ${path}: ${text}`);
    return text;
  }

  async #runRow(row: Row): Promise<void> {
    for (let tries = row.isTimed === true ? TRIES : 1; ; tries--) {
      const { access } = this.client(row.from ?? 'mesh');
      access.length = 0;
      const sent = { ...row, path: row.path?.replace('KEY', randomUUID()) ?? '/' };
      const answer = await this.ask(sent);
      try {
        check(sent, answer);
        const { rule, attempts } = access.at(-1) ?? {};
        if (row.rule !== undefined) equal(rule, row.rule);
        if (row.attempts !== undefined) equal(attempts, row.attempts, `${sent.path}: attempts`);
        return;
      } catch (error) {
        if (tries === 1) throw error;
      }
    }
  }
}

interface Told {
  readonly status: {
    readonly parents: readonly {
      readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
    }[];
  };
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string; readonly name: string };
  readonly spec: { readonly parentRefs?: readonly { readonly namespace?: string }[] };
}

/** A member is told of routes for the services that it calls; of those of another namespace than the service's only in that one. */
function concerns({ metadata, spec }: Manifest, namespace: string): boolean {
  const parents = (spec.parentRefs ?? []).map((ref) => ref.namespace ?? metadata.namespace);
  if (!parents.some((parent) => (parent === INFRA) === (namespace === INFRA))) return false;
  return parents.includes(metadata.namespace) || metadata.namespace === namespace;
}

function withNamespace(manifest: Manifest, namespace: string): Manifest {
  return { ...manifest, metadata: { namespace, ...manifest.metadata } };
}

function toKey({ kind, metadata }: Manifest): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`;
}

/** Compares one answer, and what arrived, with everything that the row says or leaves as it was. */
function check(row: Row, { status, headers, body }: Answer): void {
  const { method = 'GET', path = '/', to = '', arrives = {}, answer = {}, backend } = row;
  const said = `${method} ${to}${path} ${JSON.stringify(row.headers ?? {})}`;
  const wanted = [row.status ?? 200].flat();
  equal(wanted.includes(status), true, `${said}: ${status} ${headers['x-skein-reason'] ?? ''}, not ${wanted}`);
  for (const [name, value] of Object.entries(answer)) {
    deepEqual(headers[name] ?? null, value, `${said}: ${name} of the answer`);
  }
  const isReport = headers['content-type'] === 'application/json' && headers['x-skein-reason'] === undefined;
  if (backend === undefined) {
    equal(isReport && status === 200, false, `${said}: somebody has answered`);
    return;
  }
  equal(isReport, true, `${said}: nobody has answered`);
  if (method === 'HEAD') return;
  const report = JSON.parse(body.toString()) as Report;
  match(report.backend, new RegExp(`^(?:${backend})$`), `${said}: backend`);
  deepEqual(
    { method: report.method, path: report.path, host: report.host },
    { method, path: arrives.path ?? path, host: arrives.host ?? row.host ?? to },
    said,
  );
  if (row.protocol !== undefined) equal(report.protocol, row.protocol, said);
  const expected = { ...lowerCase(row.headers ?? {}), ...lowerCase(arrives.headers ?? {}) };
  for (const [name, value] of Object.entries(expected)) {
    deepEqual(report.headers[name] ?? null, value, `${said}: ${name} as it arrived`);
  }
}

function lowerCase<T>(fields: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
}
