/** `skein.yaml`: read, expand `${ENV}`, validate. Refused whole, with every issue and its place. */

import * as v from 'valibot';
import { HUB_QUOTAS } from '../hub/options.ts';
import { type ConfigIssue, configError } from './config-issue.ts';
import { type Environment, expandEnvironment } from './environment.ts';
import { parseYaml } from './yaml.ts';

/** A file is configuration, not data: more than this is a mistake, or an attack on the parser. */
const MAX_FILE_BYTES = 1_048_576;

const text = v.pipe(v.string('must be text'), v.nonEmpty('must not be empty'));
const oneOrMore = v.union(
  [text, v.pipe(v.array(text), v.minLength(1, 'must not be empty'))],
  'must be text or a list of texts',
);
const port = v.pipe(
  v.number('must be a number'),
  v.integer('must be a whole number'),
  v.minValue(1, 'must be 1 to 65535'),
  v.maxValue(65_535, 'must be 1 to 65535'),
);

const exposeSchema = v.strictObject({
  service: text,
  port: v.optional(port),
  target: v.union([text, v.pipe(port, v.transform(String))], 'must be an address or a port'),
  appProtocol: v.optional(text),
  labels: v.optional(v.record(v.string(), text)),
  health: v.optional(v.strictObject({ path: text, interval: v.optional(text) })),
});

const count = v.pipe(v.number('must be a number'), v.safeInteger('must be a whole number'));

const workers = v.optional(v.union([v.number(), text], 'must be a number, or auto'));

const sidecarSchema = v.strictObject({
  hub: v.optional(oneOrMore),
  token: v.optional(text),
  hubThumbprint: v.optional(oneOrMore),
  trustDomain: v.optional(text),
  namespace: v.optional(text),
  region: v.optional(text),
  zone: v.optional(text),
  data: v.optional(text),
  admin: v.optional(text),
  workers,
  expose: v.optional(v.array(exposeSchema, 'must be a list')),
  direct: v.optional(
    v.strictObject({
      enabled: v.optional(v.boolean('must be true or false')),
      listen: v.optional(text),
      advertise: v.optional(text),
      network: v.optional(text),
    }),
  ),
  listen: v.optional(
    v.strictObject({
      http: v.optional(text),
      dns: v.optional(text),
      tcp: v.optional(v.array(v.strictObject({ service: text, address: text }), 'must be a list')),
    }),
  ),
});

const platformSchema = v.strictObject({
  issuer: text,
  audience: text,
  claims: v.record(v.string(), oneOrMore),
  id: text,
  services: v.optional(v.array(text, 'must be a list')),
  algorithms: v.optional(v.array(text, 'must be a list')),
  jwks: v.optional(text),
});

const federationSchema = v.strictObject({
  trustDomain: text,
  bundleEndpoint: text,
  profile: v.optional(v.literal('https_web', 'must be https_web')),
  /** A file, for as long as the endpoint has not answered. */
  bundle: v.optional(text),
});

const hubSchema = v.strictObject({
  workers,
  listen: v.optional(text),
  data: v.optional(text),
  url: v.optional(text),
  region: v.optional(text),
  store: v.optional(text),
  storeCredentials: v.optional(text),
  roles: v.optional(oneOrMore),
  hub: v.optional(oneOrMore),
  token: v.optional(text),
  trustDomain: v.optional(text),
  keyLife: v.optional(text),
  trust: v.optional(v.array(platformSchema, 'must be a list')),
  federation: v.optional(v.array(federationSchema, 'must be a list')),
  starterPolicy: v.optional(v.boolean('must be true or false')),
  pages: v.optional(oneOrMore),
  trustProxy: v.optional(v.boolean('must be true or false')),
  quotas: v.optional(
    v.strictObject(v.entriesFromList(HUB_QUOTAS, v.optional(v.pipe(count, v.minValue(1, 'must be at least 1'))))),
  ),
});

export type SidecarFile = v.InferOutput<typeof sidecarSchema>;
export type HubFile = v.InferOutput<typeof hubSchema>;

/** @throws SkeinError SKEIN_CONFIG whose details hold every issue */
export function parseSidecarFile(name: string, content: string, env: Environment): SidecarFile {
  return parse(sidecarSchema, name, content, env);
}

/** @throws SkeinError SKEIN_CONFIG whose details hold every issue */
export function parseHubFile(name: string, content: string, env: Environment): HubFile {
  return parse(hubSchema, name, content, env);
}

function parse<const Schema extends v.GenericSchema>(
  schema: Schema,
  name: string,
  content: string,
  env: Environment,
): v.InferOutput<Schema> {
  const issues: ConfigIssue[] = [];
  const expanded = expandEnvironment(readYaml(name, content), env, issues) ?? {};
  // To valibot a list is an object with numbers for keys.
  if (Array.isArray(expanded)) throw configError(name, [{ path: '', message: 'must be a mapping of keys' }]);
  const result = v.safeParse(schema, expanded);
  if (!result.success) issues.push(...result.issues.map(toIssue));
  if (issues.length > 0 || !result.success) throw configError(name, issues);
  return result.output;
}

/** The one value of a YAML text. @throws SkeinError SKEIN_CONFIG */
function readYaml(name: string, content: string): unknown {
  if (content.length > MAX_FILE_BYTES) {
    throw configError(name, [{ path: '', message: `is longer than ${MAX_FILE_BYTES} bytes` }]);
  }
  const parsed = parseYaml(content);
  if ('issues' in parsed) throw configError(name, parsed.issues);
  const [value, another] = parsed.values;
  if (another !== undefined) throw configError(name, [{ path: '', message: 'holds more than one document' }]);
  return value;
}

/** The deepest place a union could not accept, in words of the schema; values are left out, they may be secrets. */
function toIssue(issue: v.BaseIssue<unknown>): ConfigIssue {
  const path = (issue.path ?? []).reduce<string>((before, { key }) => {
    if (typeof key === 'number') return `${before}[${key}]`;
    return before === '' ? String(key) : `${before}.${String(key)}`;
  }, '');
  if (issue.type === 'strict_object' && issue.expected === 'never') return { path, message: 'is not a known key' };
  if (issue.received === 'undefined') return { path, message: 'is missing' };
  if (issue.type.endsWith('object') || issue.type === 'record') return { path, message: 'must be a mapping of keys' };
  return { path, message: issue.message };
}
