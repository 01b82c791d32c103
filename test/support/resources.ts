/** The resources of a hub on a store, without the hub. */
import { SILENT_LOGGER } from '../../src/core/log.ts';
import { HUB_LIMITS, type HubLimits } from '../../src/hub/options.ts';
import { Publisher } from '../../src/hub/publisher.ts';
import { Resources } from '../../src/hub/resources.ts';
import type { Store } from '../../src/hub/store.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

export interface OpenResources {
  readonly resources: Resources;
  readonly publisher: Publisher;
  readonly clock: VirtualClock;
}

export async function openResources(store: Store, limits: Partial<HubLimits> = {}): Promise<OpenResources> {
  const clock = new VirtualClock();
  const publisher = new Publisher({ clock, sha256: nodePlatform().crypto.sha256, epoch: 1 });
  const options = { store, publisher, clock, log: SILENT_LOGGER, limits: { ...HUB_LIMITS, ...limits } };
  const resources = new Resources(options);
  await resources.load();
  return { resources, publisher, clock };
}

/** A route of namespace `default` with the weights of its backends v1, v2, … */
export function split(name: string, ...weights: readonly number[]): Record<string, unknown> {
  const backendRefs = weights.map((weight, i) => ({ name: `api-v${i + 1}`, port: 80, weight }));
  const parentRefs = [{ group: '', kind: 'Service', name: 'api' }];
  return { kind: 'HTTPRoute', metadata: { name }, spec: { parentRefs, rules: [{ backendRefs }] } };
}
