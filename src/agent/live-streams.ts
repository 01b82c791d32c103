/** The streams being served, with what they were allowed by: a change of policy ends those it forbids, and no others. */

import type { Verdict } from '../auth/authorizer.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { SkeinError } from '../core/errors.ts';
import { WatchedStream } from '../core/watched-stream.ts';
import type { Denial } from './denials.ts';

/** Something that can be ended from here. */
export interface Cancellable {
  cancel(error: SkeinError): void;
}

/** A stream in the list, to take it out by. */
export interface LiveEntry extends LiveFacts {
  readonly stream: Cancellable;
  /** Its place in the list, or -1 when it is not in it any more. */
  index: number;
}

export interface LiveFacts {
  /** What the policies of now say of it. */
  readonly decide: () => Verdict;
  readonly denial: Omit<Denial, 'rule'>;
}

export class LiveStreams {
  /** A list, and not a `Map`, for the reason told in tunnel/stream-table.ts: each request passes through it. */
  readonly #entries: LiveEntry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  add(stream: Cancellable, { decide, denial }: LiveFacts): LiveEntry {
    const entry: LiveEntry = { stream, decide, denial, index: this.#entries.length };
    this.#entries.push(entry);
    return entry;
  }

  /** Idempotent. */
  delete(entry: LiveEntry): void {
    const { index } = entry;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#entries.pop() as LiveEntry;
    if (last === entry) return;
    last.index = index;
    this.#entries[index] = last;
  }

  /** `stream`, kept here until it is over. */
  watch(stream: ByteStream, facts: LiveFacts): ByteStream {
    const watched: WatchedStream = new WatchedStream(stream, () => this.delete(entry));
    const entry = this.add({ cancel: (error) => watched.fail(error) }, facts);
    return watched;
  }

  /** Judges all of them again. */
  reconsider(onDenied: (denial: Denial) => void): void {
    for (const entry of [...this.#entries]) {
      if (entry.index < 0) continue; // the end of another ended it
      const { stream, decide, denial } = entry;
      const verdict = decide();
      if (verdict.allow) continue;
      this.delete(entry);
      onDenied({ ...denial, rule: verdict.rule });
      stream.cancel(
        new SkeinError(
          'SKEIN_DENIED',
          `Cannot go on with stream to "${denial.service}": no policy allows it any more`,
          {
            notProcessed: false,
          },
        ),
      );
    }
  }
}
