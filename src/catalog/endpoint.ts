/** Endpoint: one instance serving one service on one port of the mesh. */

/** How to speak to the application behind the endpoint; `http` is HTTP/1.1, `h2c` HTTP/2 with prior knowledge, `tcp` opaque bytes. */
export type AppProtocol = 'http' | 'h2c' | 'tcp';

export const APP_PROTOCOLS = ['http', 'h2c', 'tcp'] as const satisfies readonly AppProtocol[];

/**
 * What a declaration may call them: `appProtocol` of a Kubernetes Service (KEP-3726), IANA's names, and ours. WebSockets begin as
 * requests of HTTP/1.1. `https` and `kubernetes.io/wss` are none: applications are spoken to without TLS, on their own host.
 */
const DECLARED: ReadonlyMap<string, AppProtocol> = new Map([
  ['http', 'http'],
  ['kubernetes.io/ws', 'http'],
  ['h2c', 'h2c'],
  ['kubernetes.io/h2c', 'h2c'],
  ['grpc', 'h2c'],
  ['tcp', 'tcp'],
]);
export const DECLARED_APP_PROTOCOLS: readonly string[] = [...DECLARED.keys()];

export function tryParseAppProtocol(text: string): AppProtocol | undefined {
  return DECLARED.get(text);
}

export interface Endpoint {
  readonly kind: 'Endpoint';
  /** `name.namespace` */
  readonly service: string;
  /** The process that serves it: an id made at its start. */
  readonly instance: string;
  /** SPIFFE id that a session with this instance must prove. */
  readonly id: string;
  /** Port of the service in the mesh, 1..65535; not a port of any host. */
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly labels: Readonly<Record<string, string>>;
  /** Empty when unknown. */
  readonly region: string;
  /** Empty when unknown. */
  readonly zone: string;
  readonly healthy: boolean;
  /** Share of the traffic among equals, 1..1000. */
  readonly weight: number;
}
