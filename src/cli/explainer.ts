/** What `skein explain` finds out by itself: what files would do with a request, and what a hub knows of policies that a sidecar does not. */

import { addVerdicts, explainOffline, type MemberExplanation, tryParseCaller } from '../agent/explain.ts';
import { Authorizer } from '../auth/authorizer.ts';
import { AUTHORIZATION_POLICY, parseAuthorizationPolicy } from '../catalog/authorization-policy.ts';
import { valueOrThrow } from '../catalog/issue.ts';
import { parseManifest } from '../catalog/parse.ts';
import type { Manifest } from '../catalog/resource.ts';
import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
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
  const authorizer = toAuthorizer(manifests);
  const told = await explainOffline(platform, { head, manifests, namespace });
  return addVerdicts(told, caller, () => authorizer);
}

/** The policies that the sidecar is not told; without the right to see them, they stay unknown. */
export async function addVerdictsOfHub(context: CommandContext, told: MemberExplanation): Promise<MemberExplanation> {
  const caller = tryParseSpiffeId(told.caller ?? '');
  if (caller === undefined) return told;
  try {
    const authorizer = await authorizerOfHub(context);
    const { verdicts } = addVerdicts(told, caller, () => authorizer);
    return { ...told, verdicts: told.verdicts.map((known, i) => known ?? verdicts[i] ?? null) };
  } catch (thrown) {
    context.logger.log('debug', 'hub-not-asked', { error: toSkeinError(thrown).message });
    return told;
  }
}

/** By all policies of the hub. @throws SkeinError SKEIN_HUB_UNREACHABLE, and what the hub answers */
export async function authorizerOfHub(context: CommandContext): Promise<Authorizer> {
  const admin = await openAdmin(context);
  const policies = toList(await admin.get('/v1/resources'))
    .filter((manifest) => metadataOf(manifest).kind === AUTHORIZATION_POLICY)
    .map((manifest) => valueOrThrow(parseManifest(manifest), 'the hub'));
  return toAuthorizer(policies);
}

/** By the policies of files. @throws SkeinError SKEIN_CONFIG with every issue of every file */
export function authorizerOfSources(sources: readonly SourcedManifest[]): Authorizer {
  return toAuthorizer(parseSources(sources));
}

function toAuthorizer(manifests: readonly Manifest[]): Authorizer {
  const policies = manifests.filter(({ kind }) => kind === AUTHORIZATION_POLICY);
  return new Authorizer(policies.map((each) => valueOrThrow(parseAuthorizationPolicy(each), each.metadata.name)));
}

export function readCaller(text: string | undefined, namespace: string = DEFAULT_NAMESPACE): SpiffeId | undefined {
  if (text === undefined) return undefined;
  const id = tryParseCaller(text, DEFAULT_TRUST_DOMAIN, namespace);
  if (id === undefined)
    throw new SkeinError('SKEIN_CONFIG', `Cannot use --from "${text}": neither a SPIFFE id nor account[.namespace]`);
  return id;
}
