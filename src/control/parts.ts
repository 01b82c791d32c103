/** One step of the catalogue in as many messages as it needs: cut by the hub, put together again by the sidecar. */

import type { Delta } from '../catalog/delta.ts';
import type { Resource } from '../catalog/resource.ts';
import { SkeinError } from '../core/errors.ts';
import { measureMessage } from './codec.ts';
import { MAX_PUSH_RESOURCES, PART_BYTES } from './limits.ts';
import type { CataloguePush, SealPush } from './messages.ts';

/** The pushes of a delta, in order; the last one has `more: false`. */
export function splitDelta(delta: Delta): CataloguePush[] {
  const parts: { upserts: Resource[]; removals: string[] }[] = [];
  let part = { upserts: [] as Resource[], removals: [] as string[] };
  let size = 0;
  const room = (bytes: number): void => {
    if (size > 0 && size + bytes > PART_BYTES) {
      parts.push(part);
      part = { upserts: [], removals: [] };
      size = 0;
    }
    size += bytes;
  };
  for (const key of delta.removals) {
    room(measureMessage(key));
    part.removals.push(key);
  }
  for (const resource of delta.upserts) {
    room(measureMessage(resource));
    part.upserts.push(resource);
  }
  parts.push(part);
  const { epoch, revision, base, digest, full } = delta;
  return parts.map((each, index) => ({
    epoch,
    revision,
    base,
    digest,
    full,
    more: index < parts.length - 1,
    ...each,
  }));
}

/** Collects the parts of a step. Parts that do not belong together are given up: the next whole step will not fit, and that is noticed. */
export class DeltaAssembler {
  #first: CataloguePush | undefined;
  #upserts: Resource[] = [];
  #removals: string[] = [];

  /** The delta, when `push` is its last part. @throws SkeinError SKEIN_LIMIT */
  push(push: CataloguePush): Delta | undefined {
    const first = this.#first;
    if (first === undefined || !isSameStep(first, push)) this.#begin(push);
    if (
      this.#upserts.length + push.upserts.length + this.#removals.length + push.removals.length >
      MAX_PUSH_RESOURCES
    ) {
      throw new SkeinError('SKEIN_LIMIT', 'Cannot take catalogue: one step has too many resources');
    }
    this.#upserts.push(...push.upserts);
    this.#removals.push(...push.removals);
    if (push.more) return undefined;
    const { epoch, revision, base, digest, full } = push;
    const delta = { epoch, revision, base, digest, full, upserts: this.#upserts, removals: this.#removals };
    this.clear();
    return delta;
  }

  clear(): void {
    this.#first = undefined;
    this.#upserts = [];
    this.#removals = [];
  }

  #begin(push: CataloguePush): void {
    this.clear();
    this.#first = push;
  }
}

function isSameStep(a: CataloguePush, b: CataloguePush): boolean {
  return (
    a.epoch === b.epoch && a.revision === b.revision && a.base === b.base && a.digest === b.digest && a.full === b.full
  );
}

/** Topics of one part of a seal index: each is below 80 bytes. */
const PART_TOPICS = 500;

/** The pushes of a seal, in order; the last one has `more: false`. */
export function splitSeal({
  head,
  full,
  entries,
}: Pick<SealPush, 'head' | 'full'> & {
  readonly entries: readonly (readonly [string, string])[];
}): SealPush[] {
  const parts: SealPush[] = [];
  for (let at = 0; at === 0 || at < entries.length; at += PART_TOPICS) {
    const part = entries.slice(at, at + PART_TOPICS).map(([topic, digest]): [string, string] => [topic, digest]);
    parts.push({ head, full: full && at === 0, more: at + PART_TOPICS < entries.length, entries: part });
  }
  return parts;
}
