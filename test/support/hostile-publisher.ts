/** The publisher of a hub in hostile hands: what it tells members of the catalogue is what it likes. */
import type { Resource } from '../../src/catalog/resource.ts';
import { resourceKey } from '../../src/catalog/resource.ts';
import type { Channel } from '../../src/control/channel.ts';
import { Publisher } from '../../src/hub/publisher.ts';
import type { Subscriber } from '../../src/hub/subscriber.ts';

/** What is told instead of a resource: others, or nothing. */
export type Lie = (resource: Resource) => readonly Resource[];

export class HostilePublisher extends Publisher {
  /** Control streams of all members, for what is pushed besides. */
  readonly channels: Channel[] = [];
  readonly #true = new Map<string, Resource>();
  #told = new Map<string, Resource>();
  #lie: Lie = (resource) => [resource];

  /** From now on members are told this instead of what is there, the whole of it. */
  lie(lie: Lie): void {
    this.#lie = lie;
    this.#tell();
  }

  override change(key: string, resource: Resource | undefined): void {
    if (resource === undefined) this.#true.delete(key);
    else this.#true.set(key, resource);
    this.#tell();
  }

  override subscribe(channel: Channel): Subscriber {
    this.channels.push(channel);
    return super.subscribe(channel);
  }

  #tell(): void {
    const wanted = new Map<string, Resource>();
    for (const resource of this.#true.values()) {
      for (const told of this.#lie(resource)) wanted.set(resourceKey(told), told);
    }
    for (const key of this.#told.keys()) if (!wanted.has(key)) super.change(key, undefined);
    for (const [key, resource] of wanted) if (this.#told.get(key) !== resource) super.change(key, resource);
    this.#told = wanted;
  }
}
