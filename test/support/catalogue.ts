/** A hub's half of the catalogue without a hub: a real publisher at the other end of a control channel in memory. */
import { Mirror } from '../../src/agent/mirror.ts';
import { RE2 } from '../../src/catalog/re2.ts';
import { type Resource, resourceKey } from '../../src/catalog/resource.ts';
import { Channel } from '../../src/control/channel.ts';
import type { Registration } from '../../src/control/messages.ts';
import { SkeinError } from '../../src/core/errors.ts';
import { Publisher } from '../../src/hub/publisher.ts';
import type { Subscriber } from '../../src/hub/subscriber.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { createMemoryStreams } from '../../src/testing/memory-stream.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { EventLog } from './event-log.ts';

/** A mirror and what tells it. */
export class Catalogue {
  readonly clock = new VirtualClock();
  readonly log = new EventLog();
  readonly mirror: Mirror;
  readonly registrations: Registration[] = [];
  leaves = 0;
  policyChanges = 0;
  onPolicies: () => void = () => undefined;
  /** Set: the next registrations are refused with it. */
  refusal: SkeinError | undefined;
  #publisher: Publisher;
  #epoch = 1;
  readonly #resources = new Map<string, Resource>();
  readonly #served: readonly string[];

  /** @param served services whose policies are told */
  constructor(served: readonly string[] = ['api.default']) {
    this.#served = served;
    this.mirror = new Mirror({
      platform: { ...nodePlatform(), clock: this.clock, random: new SeededRandom(1) },
      log: this.log,
      namespace: () => 'default',
      expressions: RE2,
      onPolicies: () => {
        this.policyChanges++;
        this.onPolicies();
      },
    });
    this.#publisher = this.#createPublisher();
  }

  /** A channel to a hub that was just started; `hub` is its far end, which answers no call any more after `mute`. */
  connect(): { url: string; channel: Channel; hub: Channel; mute: () => void } {
    let isMute = false;
    const [a, b] = createMemoryStreams(this.clock);
    const channel: Channel = new Channel(a, {
      clock: this.clock,
      pushes: { catalogue: (push) => this.mirror.receive(push, channel) },
      onClose: () => this.mirror.detach(channel),
    });
    const hub: Channel = new Channel(b, {
      clock: this.clock,
      calls: {
        watch: ({ services }) => {
          subscriber.setInterest(services, this.#served, 'default');
          return {};
        },
        resync: () => {
          subscriber.resync();
          return {};
        },
        register: (registration) => {
          if (isMute) return new Promise(() => undefined);
          if (this.refusal !== undefined) throw this.refusal;
          this.registrations.push(registration);
          return { epoch: this.#epoch, revision: 1 };
        },
        leave: () => {
          if (isMute) return new Promise(() => undefined);
          this.leaves++;
          return {};
        },
      },
      onClose: () => subscriber.close(),
      onWritable: () => subscriber.flushIfWritable(),
    });
    const subscriber: Subscriber = this.#publisher.subscribe(hub);
    const mute = (): void => {
      isMute = true;
    };
    return { url: 'ws://10.0.0.1:7000', channel, hub, mute };
  }

  /** The hub starts again, with the same resources. */
  restart(): void {
    this.#epoch++;
    this.#publisher.close();
    this.#publisher = this.#createPublisher();
  }

  put(resource: Resource): void {
    this.#resources.set(resourceKey(resource), resource);
    this.#publisher.change(resourceKey(resource), resource);
  }

  remove(resource: Resource): void {
    this.#resources.delete(resourceKey(resource));
    this.#publisher.change(resourceKey(resource), undefined);
  }

  /** A policy of namespace `default`, told before this resolves. */
  async apply(spec: unknown, name = 'p'): Promise<void> {
    this.put({ kind: 'AuthorizationPolicy', metadata: { name, namespace: 'default' }, spec } as Resource);
    await this.clock.advanceAsync(100);
  }

  #createPublisher(): Publisher {
    const { sha256 } = nodePlatform().crypto;
    const publisher = new Publisher({ clock: this.clock, sha256, epoch: this.#epoch });
    for (const [key, resource] of this.#resources) publisher.change(key, resource);
    return publisher;
  }
}

export const REFUSED = new SkeinError('SKEIN_NAME_NOT_GRANTED', 'Cannot register: test');
