/** Ring: a backend's endpoints by what leads to them, the session of a client or the hash of a value; made when first asked. */

import { Maglev } from './balancer/maglev.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import { toInstanceTag } from './persistence.ts';

/** Slots looked at for each endpoint there is: by then each has come up, but for one time in e^16. */
const STEPS_PER_ENDPOINT = 16;

export class Ring {
  #loads: readonly EndpointLoad[] = [];
  #byTag: ReadonlyMap<string, EndpointLoad> | undefined;
  #maglev: Maglev | undefined;
  /** What the table was made of, in its order: the same at every sidecar. */
  #members: readonly EndpointLoad[] = [];
  #membersKey = '';

  update(loads: readonly EndpointLoad[]): void {
    this.#loads = loads;
    this.#byTag = undefined;
    if (this.#maglev !== undefined && toKey(sort(loads)) !== this.#membersKey) this.#maglev = undefined;
  }

  /** The endpoint of a session, as long as it is there. */
  ofSession(tag: string): EndpointLoad | undefined {
    this.#byTag ??= new Map(this.#loads.map((load) => [toInstanceTag(load.endpoint.instance), load]));
    return this.#byTag.get(tag);
  }

  /**
   * The first endpoint on the walk of `key` that `accepts` takes; `isOwn`: it is the first of all.
   * @param isFarToGo false: nobody but the first will be taken
   */
  walk(
    key: number,
    isFarToGo: boolean,
    accepts: (load: EndpointLoad, isOwn: boolean) => boolean,
  ): EndpointLoad | undefined {
    if (this.#loads.length === 0) return undefined;
    const maglev = this.#maglev ?? this.#make();
    const steps = isFarToGo ? this.#members.length * STEPS_PER_ENDPOINT : 1;
    for (let step = 0; step < steps; step++) {
      const load = this.#members[maglev.at(key, step)] as EndpointLoad;
      if (accepts(load, step === 0)) return load;
    }
    return undefined;
  }

  #make(): Maglev {
    this.#members = sort(this.#loads);
    this.#membersKey = toKey(this.#members);
    this.#maglev = new Maglev(this.#members.map(({ endpoint: { instance, weight } }) => ({ name: instance, weight })));
    return this.#maglev;
  }
}

function sort(loads: readonly EndpointLoad[]): readonly EndpointLoad[] {
  return [...loads].sort((a, b) => (a.endpoint.instance < b.endpoint.instance ? -1 : 1));
}

function toKey(loads: readonly EndpointLoad[]): string {
  return loads.map(({ endpoint: { instance, weight } }) => `${instance}*${weight}`).join(' ');
}
