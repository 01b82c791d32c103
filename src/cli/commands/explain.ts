/** `skein explain`: what would happen to a request and why, as a running sidecar sees it, or by files alone. */

import type { MemberExplanation } from '../../agent/explain.ts';
import type { Authorizer } from '../../auth/authorizer.ts';
import { AUTHORIZATION_POLICY, parseAuthorizationPolicy } from '../../catalog/authorization-policy.ts';
import { valueOrThrow } from '../../catalog/issue.ts';
import { parseManifest } from '../../catalog/parse.ts';
import type { Manifest } from '../../catalog/resource.ts';
import { DEFAULT_NAMESPACE, tryParseServiceName } from '../../catalog/service.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { type SpiffeId, toWorkloadId, tryParseSpiffeId } from '../../core/spiffe-id.ts';
import { toByteText } from '../../core/text.ts';
import { DEFAULT_TRUST_DOMAIN } from '../../hub/options.ts';
import { ADMIN_OPTIONS, openAdmin, openSidecar } from '../admin.ts';
import { asRecord } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatExplanation } from '../explanation-text.ts';
import { formatJson } from '../output.ts';
import { FILE_OPTION, NAMESPACE_OPTION, readSource } from '../sources.ts';
import { toList } from './get.ts';

export const explain: CommandSpec = {
  name: 'explain',
  summary: 'tell what would happen to a request, and why',
  description:
    'Of a running sidecar, named by --sidecar, it asks what that would do with the request now: nothing is sent.\n' +
    'Policies of a namespace are known to the sidecars that serve there, and to the hub: with the right to administer it they\n' +
    'are asked for there. With --file it says what the routes and policies of the files would do, whoever serves.',
  args: [
    { form: '<method>', description: 'of the request' },
    {
      form: '<target>',
      description: 'service[.namespace][:port][/path], http://service.mesh/path, or /path with a Host field',
    },
  ],
  options: [
    { flags: '-H, --header <field>', description: 'field of the request, name: value', list: true, env: false },
    {
      flags: '--from <caller>',
      description: 'who asks: SPIFFE id, or service account[.namespace]',
      fallback: 'the sidecar itself; of files, somebody in --namespace',
      env: false,
    },
    {
      flags: '-o, --output <form>',
      description: 'how to print',
      choices: ['text', 'json'],
      fallback: 'text',
      env: false,
    },
    { flags: '--sidecar <address>', description: 'admin address of the sidecar, which its ready line tells' },
    FILE_OPTION,
    NAMESPACE_OPTION,
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein explain GET api/orders -H "x-version: two" --sidecar 127.0.0.1:9901', 'what this sidecar would do now'],
    ['skein explain POST api/orders --from web -f routes.yaml', 'what files would do, before they are applied'],
  ],
  async run(context) {
    const { input } = context;
    const request = readRequest(context);
    const address = input.text('sidecar');
    const isOffline = input.list('file') !== undefined;
    if (!isOffline && address === undefined) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot explain: neither a sidecar nor a file is named', {
        details: { remedy: 'Give the admin address of a sidecar with --sidecar, or SKEIN_SIDECAR, or files with -f.' },
      });
    }
    const told = isOffline ? await explainFiles(context, request) : await askSidecar(context, request, address ?? '');
    await context.print(input.text('output') === 'json' ? formatJson(told) : formatExplanation(told, context.paint));
    return EXIT.done;
  },
};

interface Asked {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly fields: readonly string[];
}

function readRequest({ input }: CommandContext): Asked {
  const [method = '', target = ''] = input.args;
  const bare = target.replace(/^http:\/\//, '');
  const slash = bare.search(/[/?]/);
  const path = slash < 0 ? '/' : bare.slice(slash);
  const fields: string[] = [];
  const name = slash < 0 ? bare : bare.slice(0, slash);
  let authority = bare === target ? toAuthority(name) : name;
  for (const field of input.list('header') ?? []) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*?)\s*$/.exec(field) ?? [];
    if (name === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot use header "${field}": expected name: value`);
    if (name.toLowerCase() !== 'host') fields.push(name.toLowerCase(), toByteText(value));
    else if (authority === '') authority = value;
  }
  if (authority === '') {
    throw new SkeinError('SKEIN_CONFIG', `Cannot explain "${target}": it names no service`, {
      details: { remedy: 'Write the service before the path, as in api/orders, or give a Host field with -H.' },
    });
  }
  return { method, authority, path: path.startsWith('/') ? path : `/${path}`, fields };
}

/** `api.shop` is a service of another namespace, as everywhere on the command line; the router wants it whole. */
function toAuthority(text: string): string {
  const [name = '', port] = text.split(':');
  const whole = !name.includes('.') || name.endsWith('.mesh') ? name : `${name}.mesh`;
  return port === undefined ? whole : `${whole}:${port}`;
}

async function askSidecar(context: CommandContext, request: Asked, address: string): Promise<MemberExplanation> {
  const from = context.input.text('from');
  const sidecar = await openSidecar(context, address);
  const answer = await sidecar.post('/v1/explain', {
    ...request,
    ...(from === undefined ? {} : { from }),
  });
  if (asRecord(asRecord(answer).outcome).kind === undefined) {
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read answer of the sidecar: no outcome in it');
  }
  const told = answer as MemberExplanation;
  const isUnknown = told.backends.some(
    ({ sent }, i) => sent !== undefined && (told.verdicts[i] ?? undefined) === undefined,
  );
  const caller = tryParseSpiffeId(told.caller ?? '');
  return isUnknown && caller !== undefined ? askHub(context, told, caller) : told;
}

/** The policies that the sidecar is not told; without the right to see them, they stay unknown. */
async function askHub(context: CommandContext, told: MemberExplanation, caller: SpiffeId): Promise<MemberExplanation> {
  try {
    const admin = await openAdmin(context);
    const manifests = toList(await admin.get('/v1/resources')).map(readManifest);
    const authorizer = await toAuthorizer(manifests);
    const { addVerdicts } = await import('../../agent/explain.ts');
    return addVerdicts(told, caller, () => authorizer);
  } catch (thrown) {
    context.logger.log('debug', 'hub-not-asked', { error: toSkeinError(thrown).message });
    return told;
  }
}

async function explainFiles(context: CommandContext, request: Asked): Promise<MemberExplanation> {
  const { input, platform } = context;
  const caller = readCaller(input.text('from'), input.text('namespace'));
  const manifests: Manifest[] = [];
  for (const path of input.list('file') ?? []) {
    for (const { manifest, source } of await readSource(context, path)) manifests.push(readManifest(manifest, source));
  }
  const namespace = caller?.namespace ?? input.text('namespace') ?? DEFAULT_NAMESPACE;
  const head = { ...request, scheme: 'http', upgrade: undefined, service: '' };
  const { addVerdicts, explainOffline } = await import('../../agent/explain.ts');
  const authorizer = await toAuthorizer(manifests);
  const told = await explainOffline(platform, { head, manifests, namespace });
  return addVerdicts(told, caller, () => authorizer);
}

function readManifest(manifest: unknown, source: unknown = 'the hub'): Manifest {
  return valueOrThrow(parseManifest(manifest), String(source));
}

async function toAuthorizer(manifests: readonly Manifest[]): Promise<Authorizer> {
  const { Authorizer } = await import('../../auth/authorizer.ts');
  const policies = manifests.filter(({ kind }) => kind === AUTHORIZATION_POLICY);
  return new Authorizer(policies.map((each) => valueOrThrow(parseAuthorizationPolicy(each), each.metadata.name)));
}

function readCaller(text: string | undefined, namespace: string = DEFAULT_NAMESPACE): SpiffeId | undefined {
  if (text === undefined) return undefined;
  const account = tryParseServiceName(text, namespace);
  const id = tryParseSpiffeId(text) ?? (account && toWorkloadId(DEFAULT_TRUST_DOMAIN, account.namespace, account.name));
  if (id === undefined)
    throw new SkeinError('SKEIN_CONFIG', `Cannot use --from "${text}": neither a SPIFFE id nor account[.namespace]`);
  return id;
}
