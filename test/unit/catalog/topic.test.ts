/** Topics say exactly what interest says: a member that checks its topics has checked all that it is told, and nothing else. */

import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createInterest, isOfInterest } from '../../../src/catalog/interest.ts';
import type { Manifest } from '../../../src/catalog/resource.ts';
import { SealIndex } from '../../../src/catalog/seal-index.ts';
import { topicsOf, topicsOfInterest } from '../../../src/catalog/topic.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';

const { sha256 } = nodePlatform().crypto;
const space = fc.constantFrom('a', 'b', 'c', 'mesh');
const name = fc.constantFrom('x', 'y');
const service = fc.tuple(name, space).map(([own, namespace]) => `${own}.${namespace}`);
const refs = fc.array(
  fc.record(
    { group: fc.constantFrom('', 'other'), kind: fc.constant('Service'), name, namespace: space },
    { requiredKeys: ['group', 'kind', 'name'] },
  ),
  { maxLength: 3 },
);
const spec = fc.oneof(
  refs.map((parentRefs) => ({ parentRefs })),
  refs.map((targetRefs) => ({ targetRefs })),
  fc
    .array(fc.constantFrom('a', 'b', '*'), { maxLength: 3 })
    .map((all) => ({ from: all.map((namespace) => ({ namespace })) })),
);
const kind = fc.constantFrom(
  ...[
    'AuthorizationPolicy',
    'RequestAuthentication',
    'FederatedTrustDomain',
    'HTTPRoute',
    'TCPRoute',
    'BackendTrafficPolicy',
    'Export',
    'DirectResponse',
    'FaultInjection',
    'Unknown',
  ],
);
const manifest: fc.Arbitrary<Manifest> = fc
  .tuple(kind, space, name, spec)
  .map(([own, namespace, named, specification]) => ({
    ...{ kind: own, metadata: { name: named, namespace }, spec: specification },
  }));
const interest = fc
  .tuple(fc.array(service, { maxLength: 3 }), fc.array(service, { maxLength: 3 }), fc.option(space, { nil: undefined }))
  .map(([watched, served, namespace]) => createInterest(watched, served, namespace));

describe('topics', () => {
  it('meet those of an interest exactly where the manifest is of interest', () => {
    fc.assert(
      fc.property(manifest, interest, (each, wanted) => {
        const { policies, routes } = topicsOfInterest(wanted);
        equal(
          topicsOf(each).some((topic) => policies.has(topic) || routes.has(topic)),
          isOfInterest(wanted, each),
        );
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('SealIndex', () => {
  const many = fc.uniqueArray(manifest, {
    maxLength: 12,
    selector: ({ kind: own, metadata }) => `${own}/${metadata.namespace}/${metadata.name}`,
  });

  it('is one for the same manifests in any order, and another one for any other set that has topics', () => {
    fc.assert(
      fc.property(many, fc.nat(), (manifests, at) => {
        const index = SealIndex.of(sha256, manifests);
        equal(SealIndex.of(sha256, manifests.toReversed()).digest, index.digest);
        const one = manifests[at % Math.max(1, manifests.length)];
        if (one === undefined || topicsOf(one).length === 0) return;
        notEqual(
          SealIndex.of(
            sha256,
            manifests.filter((each) => each !== one),
          ).digest,
          index.digest,
        );
        const altered = manifests.map((each) =>
          each === one ? { ...each, metadata: { ...each.metadata, generation: 7 } } : each,
        );
        notEqual(SealIndex.of(sha256, altered).digest, index.digest);
      }),
    );
  });

  it('says what has changed since another one', () => {
    fc.assert(
      fc.property(many, many, (before, after) => {
        const [old, now] = [SealIndex.of(sha256, before), SealIndex.of(sha256, after)];
        const topics = new Map(old.topics);
        for (const [topic, digest] of now.since(old)) {
          if (digest === '') topics.delete(topic);
          else topics.set(topic, digest);
        }
        deepEqual(new SealIndex(sha256, topics).digest, now.digest);
      }),
    );
  });
});
