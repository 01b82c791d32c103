/** Header fields that nobody may set but whoever makes a message of HTTP, or the mesh itself. Names are lower case. */

/** Fields of one connection (RFC 9110 §7.6.1), and `host` and `proxy-authorization`, which a hop uses up. */
export const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Of answers of admin ports: the policy that makes the mesh permissive. */
export const PERMISSIVE_FIELD = 'x-skein-permissive';

/** What says where a body ends and how it is asked for. */
const FRAMING_FIELDS: ReadonlySet<string> = new Set(['content-length', 'expect', 'te', 'trailer']);

const UNTRUSTED: ReadonlySet<string> = new Set([
  'forwarded',
  'via',
  'x-forwarded',
  'x-http-method-override',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
]);
const UNTRUSTED_PREFIXES: readonly string[] = ['x-forwarded-', 'x-envoy-', 'x-skein-'];

/** What CGI, and PHP behind it, turn into the one separator of their variables. */
const NOT_IN_VARIABLES = /[^a-z0-9-]/g;

/** True for a field by which somebody outside could claim an identity, an origin or another target. */
export function isUntrusted(name: string): boolean {
  const first = name.charCodeAt(0);
  // x, f, v: nothing else can match, and this runs for every field of every message.
  if (first !== 0x78 && first !== 0x66 && first !== 0x76) return false;
  // Application servers that map names to variables read `x_real_ip`, `x.real.ip` and `x-real-ip` as one; gRPC adds `-bin`.
  let plain = name.replace(NOT_IN_VARIABLES, '-');
  if (plain.endsWith('-bin')) plain = plain.slice(0, -4);
  return UNTRUSTED.has(plain) || UNTRUSTED_PREFIXES.some((prefix) => plain.startsWith(prefix));
}

/** True for a field that no configuration may set or take away. */
export function isReserved(name: string): boolean {
  return CONNECTION_FIELDS.has(name) || FRAMING_FIELDS.has(name) || isUntrusted(name);
}
