/** Any sequence of changes, lost pushes, new interests, broken channels and restarted hubs: every sidecar ends with the truth. */

import { equal, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Sha256 } from '../../src/catalog/digest.ts';
import { createInterest, isOfInterest } from '../../src/catalog/interest.ts';
import { type Resource, resourceKey } from '../../src/catalog/resource.ts';
import { Snapshot } from '../../src/catalog/snapshot.ts';
import { Channel } from '../../src/control/channel.ts';
import { CatalogueWatch } from '../../src/control/watch.ts';
import { SkeinError } from '../../src/core/errors.ts';
import { SILENT_LOGGER } from '../../src/core/log.ts';
import { Publisher } from '../../src/hub/publisher.ts';
import { createMemoryStreams } from '../../src/testing/memory-stream.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

const sha256: Sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const SERVICES = ['a.default', 'b.default', 'c.shop'];

/** The mesh of the model: one hub at a time, three sidecars, and what is really true. */
class Mesh {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly truth = new Map<string, Resource>();
  readonly sidecars: ModelSidecar[];
  publisher: Publisher;
  #epoch = 1;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.publisher = new Publisher({ clock: this.clock, sha256, epoch: 1 });
    this.sidecars = [['c.shop'], ['a.default'], []].map((served) => new ModelSidecar(this, served));
  }

  set(resource: Resource, present: boolean): void {
    const key = resourceKey(resource);
    if (present) this.truth.set(key, resource);
    else this.truth.delete(key);
    this.publisher.change(key, present ? resource : undefined);
  }

  restart(): void {
    this.publisher.close();
    this.publisher = new Publisher({ clock: this.clock, sha256, epoch: ++this.#epoch });
    for (const [key, resource] of this.truth) this.publisher.change(key, resource);
    for (const sidecar of this.sidecars) sidecar.reconnect();
  }
}

class ModelSidecar {
  readonly watch: CatalogueWatch;
  readonly #mesh: Mesh;
  readonly #served: readonly string[];
  #channel: Channel | undefined;
  dropRatio = 0.15;

  constructor(mesh: Mesh, served: readonly string[]) {
    this.#mesh = mesh;
    this.#served = served;
    this.watch = new CatalogueWatch({
      sha256,
      clock: mesh.clock,
      random: mesh.random.fork(),
      log: SILENT_LOGGER,
      onSnapshot: () => undefined,
    });
    this.reconnect();
  }

  reconnect(): void {
    const { clock, publisher, random } = this.#mesh;
    this.#channel?.close(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot use hub: link lost'));
    const [a, b] = createMemoryStreams(clock, { maxChunkBytes: 1 + random.integer(200) });
    const channel = new Channel(a, {
      clock,
      pushes: {
        catalogue: (push) => {
          if (random.ratio() >= this.dropRatio) this.watch.receive(push);
        },
      },
      onClose: () => this.watch.detach(channel),
    });
    const hubEnd: Channel = new Channel(b, {
      clock,
      calls: {
        watch: ({ services }) => {
          subscriber.setInterest(services, this.#served, 'default');
          return {};
        },
        resync: () => {
          subscriber.resync();
          return {};
        },
      },
      onClose: () => subscriber.close(),
      onWritable: () => subscriber.flushIfWritable(),
    });
    const subscriber = publisher.subscribe(hubEnd);
    this.#channel = channel;
    this.watch.attach(channel).catch(() => undefined); // the next connection tells the interest again
  }

  /** Digest of what this sidecar ought to know. */
  expected(): string {
    const interest = createInterest(this.watch.services, this.#served, 'default');
    const upserts = [...this.#mesh.truth.values()].filter((resource) => isOfInterest(interest, resource));
    return Snapshot.empty().with({ upserts, removals: [] }, sha256, 1).digest;
  }
}

type Step =
  | { readonly do: 'set'; readonly resource: Resource; readonly present: boolean }
  | { readonly do: 'watch' | 'unwatch'; readonly sidecar: number; readonly service: string }
  | { readonly do: 'reconnect'; readonly sidecar: number }
  | { readonly do: 'restart' }
  | { readonly do: 'wait'; readonly ms: number };

const resources: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .record({
      service: fc.constantFrom(...SERVICES),
      instance: fc.constantFrom('1', '2', '3', '4'),
      healthy: fc.boolean(),
    })
    .map((some) => ({
      kind: 'Endpoint' as const,
      id: 'spiffe://mesh.test/ns/default/sa/x',
      port: 80,
      protocol: 'http' as const,
      labels: {},
      region: '',
      zone: '',
      weight: 1,
      ...some,
    })),
  fc
    .record({ namespace: fc.constantFrom('default', 'shop', 'mesh'), spec: fc.integer({ min: 0, max: 3 }) })
    .map(({ namespace, spec }) => ({ kind: 'AuthorizationPolicy', metadata: { namespace, name: 'p' }, spec })),
);
const sidecar = fc.integer({ min: 0, max: 2 });
const service = fc.constantFrom(...SERVICES);
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('set' as const), resource: resources, present: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('watch' as const, 'unwatch' as const), sidecar, service }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const), sidecar }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 200 }) }) },
);

async function play(mesh: Mesh, step: Step): Promise<void> {
  switch (step.do) {
    case 'set':
      mesh.set(step.resource, step.present);
      break;
    case 'watch':
      // Told or not in the end is what the model looks at, not when.
      mesh.sidecars[step.sidecar]?.watch.add(step.service).catch(() => undefined);
      break;
    case 'unwatch':
      mesh.sidecars[step.sidecar]?.watch.remove(step.service);
      break;
    case 'reconnect':
      mesh.sidecars[step.sidecar]?.reconnect();
      break;
    case 'restart':
      mesh.restart();
      break;
    case 'wait':
      await mesh.clock.advanceAsync(step.ms);
  }
}

test('With 15 % of pushes lost meanwhile, every sidecar has the truth 10 s after the last change', async (t) => {
  let resyncs = 0;
  let diverged = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(steps, { maxLength: 60 }), async (seed, sequence) => {
      const mesh = new Mesh(seed);
      for (const step of sequence) await play(mesh, step);
      for (const each of mesh.sidecars) each.dropRatio = 0;
      const agree = (): boolean => mesh.sidecars.every((each) => each.watch.snapshot.digest === each.expected());
      const converged = await mesh.clock.advanceUntil(agree, 10_000);
      for (const { watch } of mesh.sidecars) {
        resyncs += watch.stats.resyncs;
        diverged += watch.stats.diverged;
      }
      mesh.publisher.close();
      equal(converged, true);
    }),
    { numRuns: 200 },
  );
  t.diagnostic(`${diverged} divergences noticed, ${resyncs} resyncs`);
  ok(diverged > 0, 'the model lost nothing');
});
