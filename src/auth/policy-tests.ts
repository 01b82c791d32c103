/** Runs the `tests:` of policies against all policies that concern the services they ask. */

import type { AuthorizationPolicy } from '../catalog/authorization-policy.ts';
import { resolveTest } from '../catalog/policy-test.ts';
import { looksForTokens, type RequestAuthentication } from '../catalog/request-authentication.ts';
import { MESH_NAMESPACE, namespaceOf } from '../catalog/service.ts';
import { Authorizer, DEFAULT_DENY } from './authorizer.ts';
import { assumeClaims } from './match.ts';

/** A test that was decided otherwise than it expects. */
export interface TestFailure {
  readonly policy: AuthorizationPolicy;
  /** `spec.tests[0]` */
  readonly path: string;
  /** What was decided, and by which rule. */
  readonly message: string;
}

/**
 * Policies that audit are judged as though they alone were in force as well, and a permissive mesh as though it were none: tests are
 * about what policies say.
 * A test that gives no claims is of a request without a token, and one that does is of what somebody has verified.
 * @param tested those of `policies` whose tests are run
 */
export function runPolicyTests(
  policies: readonly AuthorizationPolicy[],
  tested: readonly AuthorizationPolicy[],
  authentications: readonly RequestAuthentication[],
): readonly TestFailure[] {
  const authorizers = new Map<string, Authorizer>();
  return tested.flatMap((policy) => {
    const own = policy.spec.mode === 'audit' ? new Map<string, Authorizer>() : authorizers;
    return (policy.spec.tests ?? []).flatMap((test, i) => {
      const asked = resolveTest(policy, test);
      const path = `spec.tests[${i}]`;
      if (typeof asked === 'string') return [{ policy, path, message: asked }];
      const namespace = namespaceOf(asked.service);
      const authorizer = own.get(namespace) ?? createAuthorizer(policies, namespace, policy);
      own.set(namespace, authorizer);
      const { http, service } = asked;
      const claims = assumeClaims(http?.claims, looksForTokens(authentications, service));
      const verdict = authorizer.decide({ ...asked, http: http && { ...http, claims } });
      if (verdict.allow === (test.expect === 'allow')) return [];
      const by = verdict.rule === DEFAULT_DENY ? 'no rule that allows it' : verdict.rule;
      const decided = `${verdict.allow ? 'allowed' : 'denied'} by ${by}`;
      return [{ policy, path, message: `${test.from} to ${asked.service}: expected ${test.expect}, ${decided}` }];
    });
  });
}

/** As it would decide for services of `namespace` with `tested` in force. */
function createAuthorizer(
  policies: readonly AuthorizationPolicy[],
  namespace: string,
  tested: AuthorizationPolicy,
): Authorizer {
  const concerned = policies.filter((each) => each.namespace === namespace || each.namespace === MESH_NAMESPACE);
  return new Authorizer(
    concerned.map(({ spec, ...policy }) => ({
      ...policy,
      spec: {
        ...spec,
        permissive: undefined,
        mode: policy.name === tested.name && policy.namespace === tested.namespace ? 'enforce' : spec.mode,
      },
    })),
  );
}
