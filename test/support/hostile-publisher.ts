/** The publisher of a hub in hostile hands: what it tells members of the catalogue is what it likes. */
import type { Resource } from '../../src/catalog/resource.ts';
import { resourceKey } from '../../src/catalog/resource.ts';
import type { SealIndex } from '../../src/catalog/seal-index.ts';
import type { Channel } from '../../src/control/channel.ts';
import type { PushName } from '../../src/control/messages.ts';
import { Publisher } from '../../src/hub/publisher.ts';
import type { Subscriber } from '../../src/hub/subscriber.ts';

/** What is told instead of a resource: others, or nothing. */
export type Lie = (resource: Resource) => readonly Resource[];

export interface TrueSeal {
  readonly head: string;
  readonly index: SealIndex;
}

export class HostilePublisher extends Publisher {
  /** Control streams of all members, for what is pushed besides. */
  readonly channels: Channel[] = [];
  /** Pushes that no member is sent. */
  readonly withheld = new Set<PushName>();
  /** As the issuer has made them. */
  readonly seals: TrueSeal[] = [];
  readonly #true = new Map<string, Resource>();
  #told = new Map<string, Resource>();
  #lie: Lie = (resource) => [resource];
  #bendSeal: (seal: TrueSeal) => TrueSeal | undefined = (seal) => seal;
  #isHeld = false;

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

  /** From now on members are told this seal instead of the one there is. */
  bendSeal(bend: (seal: TrueSeal) => TrueSeal | undefined): void {
    this.#bendSeal = bend;
    const newest = this.seals.at(-1);
    if (newest !== undefined) this.#tellSeal(newest);
  }

  /** Members are told of no change any more. */
  hold(): void {
    this.#isHeld = true;
  }

  override seal(head: string, index: SealIndex): void {
    this.seals.push({ head, index });
    this.#tellSeal({ head, index });
  }

  override subscribe(channel: Channel): Subscriber {
    this.channels.push(channel);
    const push = channel.push.bind(channel);
    channel.push = (name, body) => {
      if (!this.withheld.has(name)) push(name, body);
    };
    return super.subscribe(channel);
  }

  #tellSeal(newest: TrueSeal): void {
    const told = this.#bendSeal(newest);
    if (told !== undefined) super.seal(told.head, told.index);
  }

  #tell(): void {
    if (this.#isHeld) return;
    const wanted = new Map<string, Resource>();
    for (const resource of this.#true.values()) {
      for (const told of this.#lie(resource)) wanted.set(resourceKey(told), told);
    }
    for (const key of this.#told.keys()) if (!wanted.has(key)) super.change(key, undefined);
    for (const [key, resource] of wanted) if (this.#told.get(key) !== resource) super.change(key, resource);
    this.#told = wanted;
  }
}
