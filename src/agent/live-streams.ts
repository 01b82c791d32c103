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

export interface LiveFacts {
  /** What the policies of now say of it. */
  readonly decide: () => Verdict;
  readonly denial: Omit<Denial, 'rule'>;
}

export class LiveStreams {
  readonly #streams = new Map<Cancellable, LiveFacts>();

  get size(): number {
    return this.#streams.size;
  }

  add(stream: Cancellable, facts: LiveFacts): void {
    this.#streams.set(stream, facts);
  }

  delete(stream: Cancellable): void {
    this.#streams.delete(stream);
  }

  /** `stream`, kept here until it is over. */
  watch(stream: ByteStream, facts: LiveFacts): ByteStream {
    const watched = new WatchedStream(stream, () => this.delete(entry));
    const entry: Cancellable = { cancel: (error) => watched.fail(error) };
    this.add(entry, facts);
    return watched;
  }

  /** Judges all of them again. */
  reconsider(onDenied: (denial: Denial) => void): void {
    for (const [stream, { decide, denial }] of [...this.#streams]) {
      const verdict = decide();
      if (verdict.allow) continue;
      this.#streams.delete(stream);
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
