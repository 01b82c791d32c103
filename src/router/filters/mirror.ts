/** RequestMirror: a copy of some requests goes to another service. The request itself neither waits for it nor fails with it. */

import type { Mirror } from '../../catalog/http-filter.ts';
import type { Bytes } from '../../core/bytes.ts';
import type { SkeinError } from '../../core/errors.ts';
import type { RequestBody } from '../../http/handler.ts';
import type { Fields } from '../../http/head.ts';
import type { Destination } from '../destination.ts';
import type { Filter } from './filter.ts';

/** @param destination undefined when the reference is to nothing that could take a copy: then none is made */
export function createMirror(
  { percent, fraction }: Mirror,
  destination: Destination | undefined,
  label: string,
): Filter {
  const ratio = fraction === undefined ? (percent ?? 100) / 100 : fraction.numerator / fraction.denominator;
  return {
    type: 'RequestMirror',
    summary: `copies ${Math.round(ratio * 10_000) / 100} % to ${destination?.key ?? label}`,
    isPure: false,
    wrap: (next, { mirror, random }) => ({
      request: (head, complete, reply) => {
        const body = next.request(head, complete, reply);
        // A connection that switches protocols is a conversation: half of it means nothing to anybody.
        if (destination === undefined || head.upgrade !== undefined || random.ratio() >= ratio) return body;
        const copy = mirror(destination, { ...head, service: destination.key }, complete);
        return complete || copy === undefined ? body : new MirroredBody(body, copy);
      },
    }),
  };
}

/** Every chunk twice. The copy is made first: whoever takes a chunk may do with it as he likes. */
class MirroredBody implements RequestBody {
  readonly #body: RequestBody;
  readonly #copy: RequestBody;

  constructor(body: RequestBody, copy: RequestBody) {
    this.#body = body;
    this.#copy = copy;
  }

  write(chunk: Bytes): boolean {
    this.#copy.write(chunk.slice());
    return this.#body.write(chunk);
  }

  end(trailers: Fields): void {
    this.#copy.end(trailers);
    this.#body.end(trailers);
  }

  abort(error: SkeinError): void {
    this.#copy.abort(error);
    this.#body.abort(error);
  }

  consumed(bytes: number): void {
    this.#body.consumed(bytes);
  }
}
