/** What a sidecar is asked to be: checked whole, every issue told, names and addresses read into one form. */

import * as v from 'valibot';
import type { DirectOptions } from '../agent/direct/options.ts';
import type { AgentOptions } from '../agent/options.ts';
import { DECLARED_APP_PROTOCOLS, tryParseAppProtocol } from '../catalog/endpoint.ts';
import { DEFAULT_NAMESPACE, isLabel, tryParseServiceName } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import { isLoopbackAddress, isLoopbackName } from '../core/loopback.ts';
import type { ListenAddress } from '../core/platform.ts';
import { Redacted } from '../core/redacted.ts';
import { tryParseAuthority } from '../http/target.ts';
import { SERVICE_PORT } from '../router/destination.ts';
import type { AccessLog } from '../telemetry/access-log.ts';

/** The options of an agent, and what a sidecar adds: an application to expose, and listeners for it. */
export interface SidecarOptions extends Omit<AgentOptions, 'services' | 'direct'> {
  /** Applications beside it that become services of the mesh. @default none */
  readonly expose?: readonly ExposeOptions[] | undefined;
  /** Local ports that lead into the mesh. @default none */
  readonly listen?: ListenOptions | undefined;
  /** Paths to other members around the relays; `false`: none are looked for. */
  readonly direct?: SidecarDirectOptions | false | undefined;
  /** Readiness, metrics and status over HTTP; loopback only. @default none */
  readonly admin?: string | ListenAddress | undefined;
  /** Bearer token for what the admin port tells beside health and metrics. @default made at the start */
  readonly adminToken?: string | Redacted<string> | undefined;
  /** Told of each request when it is over; `createAccessLog` makes lines of it. @default none */
  readonly accessLog?: AccessLog | undefined;
  /** Time for what was begun when the sidecar leaves, in milliseconds. @default 30_000 */
  readonly drainMs?: number | undefined;
  /** Other sidecars may use the folder `data` at the same time; else a second one is refused. @default false */
  readonly sharesData?: boolean | undefined;
  /** Gives up starting. */
  readonly signal?: AbortSignal | undefined;
}

/** How paths around the relays are found, and where others find this sidecar. */
export interface SidecarDirectOptions extends DirectOptions {
  /** Where peers may connect; they show first that they are. @default any port of 127.0.0.1, for members on this host */
  readonly listen?: string | ListenAddress | undefined;
}

/** An application that becomes a service of the mesh. */
export interface ExposeOptions {
  /** `name[.namespace]` */
  readonly service: string;
  /** Port of the service in the mesh. @default 80 */
  readonly port?: number | undefined;
  /** Where the application listens: `http://127.0.0.1:3000` or `tcp://127.0.0.1:5432`. */
  readonly target: string | TargetOptions;
  /**
   * How the application speaks, as `appProtocol` of a Kubernetes Service says it; goes before the scheme of `target`:
   * `http`, `kubernetes.io/ws`, `h2c`, `kubernetes.io/h2c`, `grpc` or `tcp`. @default the scheme of `target`
   */
  readonly appProtocol?: string | undefined;
  /** Labels of this instance, such as `version`, by which routes may choose. @default none */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** How it is found out whether the application is well. @default a TCP connection is tried every 5 s */
  readonly health?: HealthOptions | undefined;
}

/** Where an application listens, in parts. */
export interface TargetOptions {
  /** How it speaks. */
  readonly protocol: 'http' | 'tcp' | 'h2c';
  /** IP address without brackets, or a host name. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** How an application is asked whether it is well. */
export interface HealthOptions {
  /** Asked with GET; 200..399 is healthy. Without it a TCP connection is enough. */
  readonly path?: string | undefined;
  /** From one question to the next, in milliseconds, 100 to 3_600_000. @default 5_000 */
  readonly intervalMs?: number | undefined;
}

/** Local ports that lead into the mesh; as `host:port`, where port 0 means any free one. */
export interface ListenOptions {
  /** HTTP proxy: absolute-form and CONNECT for names of the mesh, or `Host: api.mesh`. */
  readonly http?: string | ListenAddress | undefined;
  /**
   * DNS by UDP and TCP: names of the mesh become loopback addresses on which their services answer, all others are asked
   * of the name servers of this machine.
   */
  readonly dns?: string | ListenAddress | undefined;
  /** A local port for each service that is called without a proxy. */
  readonly tcp?: readonly TcpListenOptions[] | undefined;
}

/** A local port that leads to one service. */
export interface TcpListenOptions {
  /** `name[.namespace]` */
  readonly service: string;
  /** Port of the service in the mesh. @default 80 */
  readonly port?: number | undefined;
  /** `host:port`, where port 0 means any free one. */
  readonly address: string | ListenAddress;
}

export interface Exposed {
  /** `name.namespace` */
  readonly service: string;
  readonly port: number;
  readonly target: TargetOptions;
  readonly labels: Readonly<Record<string, string>>;
  readonly health: { readonly path: string | undefined; readonly intervalMs: number };
}

export interface TcpListen {
  /** As it was asked for: its name among the addresses of the ready line. */
  readonly name: string;
  readonly service: string;
  readonly port: number;
  readonly address: ListenAddress;
}

export interface ResolvedSidecarOptions {
  readonly agent: AgentOptions;
  readonly expose: readonly Exposed[];
  readonly http: ListenAddress | undefined;
  readonly dns: ListenAddress | undefined;
  readonly tcp: readonly TcpListen[];
  /** Undefined: no direct paths. */
  readonly direct: { readonly listen: ListenAddress; readonly isAsked: boolean } | undefined;
  readonly admin: ListenAddress | undefined;
  /** Undefined: one is made. */
  readonly adminToken: Redacted<string> | undefined;
  readonly accessLog: AccessLog | undefined;
  readonly drainMs: number;
  readonly sharesData: boolean;
}

const ANY_LOCAL_PORT: ListenAddress = { host: '127.0.0.1', port: 0 };
const DRAIN_MS = 30_000;
const PROBE_INTERVAL_MS = 5_000;
const MIN_PROBE_INTERVAL_MS = 100;

const natural = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
const host = v.pipe(v.string(), v.minLength(1), v.maxLength(253));
const listenAddress = v.union([
  v.pipe(
    v.string(),
    v.check((text) => tryParseListen(text) !== undefined, 'expected host:port'),
  ),
  v.strictObject({ host, port: natural(0, 65_535) }),
]);
const target = v.union([
  v.pipe(
    v.string(),
    v.check((text) => tryParseTarget(text) !== undefined, 'expected http://host:port or tcp://host:port'),
  ),
  v.strictObject({ protocol: v.picklist(['http', 'tcp', 'h2c']), host, port: natural(1, 65_535) }),
]);
const service = v.pipe(
  v.string(),
  v.check((text) => tryParseServiceName(text, DEFAULT_NAMESPACE) !== undefined, 'expected name[.namespace]'),
);
const port = v.optional(natural(1, 65_535));
const originPath = v.pipe(v.string(), v.regex(/^\/[!-"$-~]*$/, 'expected a path such as /healthz'));

const schema = v.object({
  namespace: v.optional(v.pipe(v.string(), v.check(isLabel, 'expected a DNS label'))),
  expose: v.optional(
    v.array(
      v.strictObject({
        service,
        port,
        target,
        appProtocol: v.optional(v.picklist(DECLARED_APP_PROTOCOLS)),
        labels: v.optional(v.record(v.string(), v.string())),
        health: v.optional(
          v.strictObject({
            path: v.optional(originPath),
            intervalMs: v.optional(natural(MIN_PROBE_INTERVAL_MS, 3_600_000)),
          }),
        ),
      }),
    ),
  ),
  listen: v.optional(
    v.strictObject({
      http: v.optional(listenAddress),
      dns: v.optional(listenAddress),
      tcp: v.optional(v.array(v.strictObject({ service, port, address: listenAddress }))),
    }),
  ),
  direct: v.optional(
    v.union([
      v.literal(false),
      v.strictObject({
        listen: v.optional(listenAddress),
        advertise: v.optional(v.string()),
        network: v.optional(v.string()),
        limits: v.optional(v.record(v.string(), v.unknown())),
      }),
    ]),
  ),
  admin: v.optional(
    v.pipe(
      listenAddress,
      v.check(
        (at) => isLoopback(toListen(at)?.host ?? 'localhost'),
        'expected an address of this machine, such as 127.0.0.1:9000',
      ),
    ),
  ),
  drainMs: v.optional(natural(0, 3_600_000)),
  sharesData: v.optional(v.boolean()),
});

/** @throws SkeinError SKEIN_CONFIG with every issue in its details */
export function resolveSidecarOptions(options: SidecarOptions): ResolvedSidecarOptions {
  const {
    expose,
    listen,
    direct = {},
    admin,
    adminToken,
    accessLog,
    drainMs,
    sharesData,
    signal: _signal,
    ...agent
  } = options;
  const result = v.safeParse(schema, options);
  if (!result.success) throw invalid(result.issues.map(({ path, message }) => ({ path: toPath(path), message })));
  const namespace = options.namespace ?? DEFAULT_NAMESPACE;
  const exposed = (expose ?? []).map((item) => toExposed(item, namespace));
  return {
    agent: {
      ...agent,
      services: exposed.map((item) => item.service),
      ...(options.direct === undefined ? {} : { direct: toAgentDirect(options.direct) }),
    },
    expose: exposed,
    http: toListen(listen?.http),
    dns: toListen(listen?.dns),
    tcp: (listen?.tcp ?? []).map((item) => toTcpListen(item, namespace)),
    direct:
      direct === false
        ? undefined
        : { listen: toListen(direct.listen) ?? ANY_LOCAL_PORT, isAsked: direct.listen !== undefined },
    admin: toListen(admin),
    adminToken: typeof adminToken === 'string' ? new Redacted(adminToken) : adminToken,
    accessLog,
    drainMs: drainMs ?? DRAIN_MS,
    sharesData: sharesData ?? false,
  };
}

function toAgentDirect(direct: SidecarDirectOptions | false): DirectOptions | false {
  if (direct === false) return false;
  const { listen: _listen, ...rest } = direct;
  return rest;
}

function toExposed(item: ExposeOptions, namespace: string): Exposed {
  return {
    service: toServiceKey(item.service, namespace),
    port: item.port ?? SERVICE_PORT,
    target: toTarget(item),
    labels: item.labels ?? {},
    health: { path: item.health?.path, intervalMs: item.health?.intervalMs ?? PROBE_INTERVAL_MS },
  };
}

/** The texts were checked by the schema. */
function toTarget({ target: said, appProtocol }: ExposeOptions): TargetOptions {
  const at = typeof said === 'string' ? (tryParseTarget(said) as TargetOptions) : said;
  const declared = appProtocol === undefined ? undefined : tryParseAppProtocol(appProtocol);
  return declared === undefined ? at : { ...at, protocol: declared };
}

function toTcpListen(item: TcpListenOptions, namespace: string): TcpListen {
  const key = toServiceKey(item.service, namespace);
  const port = item.port ?? SERVICE_PORT;
  const short = key.endsWith(`.${namespace}`) ? key.slice(0, -namespace.length - 1) : key;
  return {
    name: port === SERVICE_PORT ? short : `${short}:${port}`,
    service: key,
    port,
    address: toListen(item.address) as ListenAddress,
  };
}

/** The text was checked by the schema. */
function toServiceKey(text: string, namespace: string): string {
  return tryParseServiceName(text, namespace)?.key ?? '';
}

function toListen(value: string | ListenAddress | undefined): ListenAddress | undefined {
  return typeof value === 'string' ? tryParseListen(value) : value;
}

function isLoopback(name: string): boolean {
  return isLoopbackName(name) || isLoopbackAddress(name);
}

function tryParseListen(text: string): ListenAddress | undefined {
  const authority = tryParseAuthority(text);
  return authority?.port === undefined ? undefined : { host: unbracket(authority.host), port: authority.port };
}

function tryParseTarget(text: string): TargetOptions | undefined {
  const match = /^(http|tcp|h2c):\/\/([^/]+)\/?$/.exec(text);
  const authority = tryParseAuthority(match?.[2] ?? '');
  const protocol = match?.[1] as TargetOptions['protocol'] | undefined;
  const port = authority?.port ?? (protocol === 'http' ? 80 : undefined);
  if (authority === undefined || protocol === undefined || port === undefined || port === 0) return undefined;
  return { protocol, host: unbracket(authority.host), port };
}

function unbracket(name: string): string {
  return name.replace(/^\[|\]$/g, '');
}

function toPath(path: readonly { readonly key: unknown }[] | undefined): string {
  return (path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .slice(1);
}

function invalid(issues: readonly { readonly path: string; readonly message: string }[]): SkeinError {
  const lines = issues.map(({ path, message }) => `${path}: ${message}`);
  return new SkeinError('SKEIN_CONFIG', `Cannot start sidecar: ${lines.join('; ')}`, { details: { issues } });
}
