/** What `skein explain` finds out by itself: what files would do with a request, and what a hub knows of policies that a sidecar does not. */

import { addVerdicts, explainOffline, type Judge, type MemberExplanation, tryParseCaller } from '../agent/explain.ts';
import { Authorizer } from '../auth/authorizer.ts';
import { AUTHORIZATION_POLICY, parseAuthorizationPolicy } from '../catalog/authorization-policy.ts';
import { type Parsed, valueOrThrow } from '../catalog/issue.ts';
import { parseManifest } from '../catalog/parse.ts';
import { RE2 } from '../catalog/re2.ts';
import {
  looksForTokens,
  parseRequestAuthentication,
  REQUEST_AUTHENTICATION,
} from '../catalog/request-authentication.ts';
import type { Manifest } from '../catalog/resource.ts';
import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import { DECIDING_KINDS } from '../catalog/status.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { DEFAULT_TRUST_DOMAIN, type SpiffeId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import { openAdmin } from './admin.ts';
import { toList } from './admin-client.ts';
import type { AskedRequest } from './asked-request.ts';
import { parseSources } from './checked-sources.ts';
import type { CommandContext } from './context.ts';
import type { SourcedManifest } from './manifest.ts';
import { metadataOf } from './resource-name.ts';

/** By what files say, whoever serves. @throws SkeinError SKEIN_CONFIG with every issue of every file */
export async function explainSources(
  { input, platform }: CommandContext,
  request: AskedRequest,
  sources: readonly SourcedManifest[],
): Promise<MemberExplanation> {
  const caller = readCaller(input.text('from'), input.text('namespace'));
  const manifests = parseSources(sources);
  const namespace = caller?.namespace ?? input.text('namespace') ?? DEFAULT_NAMESPACE;
  const head = { ...request, scheme: 'http', upgrade: undefined, service: '' };
  const judge = toJudge(manifests);
  const told = await explainOffline(platform, { head, manifests, namespace, expressions: RE2 });
  return addVerdicts(told, caller, () => judge, readClaims(input));
}

/** The policies that the sidecar is not told; without the right to see them, they stay unknown. */
export async function addVerdictsOfHub(context: CommandContext, told: MemberExplanation): Promise<MemberExplanation> {
  const caller = tryParseSpiffeId(told.caller ?? '');
  if (caller === undefined) return told;
  try {
    const judge = await judgeOfHub(context);
    const { verdicts } = addVerdicts(told, caller, () => judge, readClaims(context.input));
    return { ...told, verdicts: told.verdicts.map((known, i) => known ?? verdicts[i] ?? null) };
  } catch (thrown) {
    context.logger.log('debug', 'hub-not-asked', { error: toSkeinError(thrown).message });
    return told;
  }
}

/** By all policies of the hub. @throws SkeinError SKEIN_HUB_UNREACHABLE, and what the hub answers */
export async function judgeOfHub(context: CommandContext): Promise<Judge> {
  const admin = await openAdmin(context);
  const manifests = toList(await admin.get('/v1/resources'))
    .filter((manifest) => DECIDING_KINDS.includes(metadataOf(manifest).kind))
    .map((manifest) => valueOrThrow(parseManifest(manifest), 'the hub'));
  return toJudge(manifests);
}

/** By the policies of files. @throws SkeinError SKEIN_CONFIG with every issue of every file */
export function judgeOfSources(sources: readonly SourcedManifest[]): Judge {
  return toJudge(parseSources(sources));
}

function toJudge(manifests: readonly Manifest[]): Judge {
  const ofKind = <T>(wanted: string, parse: (manifest: Manifest) => Parsed<T>): T[] =>
    manifests
      .filter(({ kind }) => kind === wanted)
      .map((manifest) => valueOrThrow(parse(manifest), manifest.metadata.name));
  const authentications = ofKind(REQUEST_AUTHENTICATION, parseRequestAuthentication);
  return {
    authorizer: new Authorizer(ofKind(AUTHORIZATION_POLICY, parseAuthorizationPolicy)),
    looks: (service) => looksForTokens(authentications, service),
  };
}

/** Claims of an end user, as `--claim name=value` gives them; undefined: no token comes. @throws SkeinError SKEIN_CONFIG */
export function readClaims(input: CommandContext['input']): Readonly<Record<string, readonly string[]>> | undefined {
  const texts = input.list('claim');
  if (texts === undefined) return undefined;
  const claims = new Map<string, string[]>();
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) throw new SkeinError('SKEIN_CONFIG', `Cannot use --claim "${text}": expected name=value`);
    const name = text.slice(0, at);
    claims.set(name, [...(claims.get(name) ?? []), text.slice(at + 1)]);
  }
  return Object.fromEntries(claims);
}

export function readCaller(text: string | undefined, namespace: string = DEFAULT_NAMESPACE): SpiffeId | undefined {
  if (text === undefined) return undefined;
  const id = tryParseCaller(text, DEFAULT_TRUST_DOMAIN, namespace);
  if (id === undefined)
    throw new SkeinError('SKEIN_CONFIG', `Cannot use --from "${text}": neither a SPIFFE id nor account[.namespace]`);
  return id;
}
