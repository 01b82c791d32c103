/** The streams being served, with what they were allowed by: a change of policy ends those it forbids, and no others. */

import type { Verdict } from '../auth/authorizer.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { SkeinError } from '../core/errors.ts';
import { type Listed, LiveList } from '../core/live-list.ts';
import { WatchedStream } from '../core/watched-stream.ts';
import type { Denial } from './denials.ts';

/** Something that can be ended from here. */
export interface Cancellable {
  cancel(error: SkeinError): void;
}

/** A stream in the list, to take it out by. */
export interface LiveEntry extends LiveFacts, Listed {
  readonly stream: Cancellable;
}

export interface LiveFacts {
  /** What the policies of now say of it. */
  readonly decide: () => Verdict;
  readonly denial: Omit<Denial, 'rule'>;
}

export class LiveStreams {
  readonly #entries = new LiveList<LiveEntry>();

  get size(): number {
    return this.#entries.size;
  }

  add(stream: Cancellable, { decide, denial }: LiveFacts): LiveEntry {
    const entry: LiveEntry = { stream, decide, denial, index: -1 };
    this.#entries.add(entry);
    return entry;
  }

  /** Idempotent. */
  delete(entry: LiveEntry): void {
    this.#entries.delete(entry);
  }

  /** `stream`, kept here until it is over. */
  watch(stream: ByteStream, facts: LiveFacts): ByteStream {
    const watched: WatchedStream = new WatchedStream(stream, () => this.delete(entry));
    const entry = this.add({ cancel: (error) => watched.fail(error) }, facts);
    return watched;
  }

  /** Judges all of them again. */
  reconsider(onDenied: (denial: Denial) => void): void {
    for (const entry of this.#entries.all()) {
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
