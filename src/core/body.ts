/** Bodies of Fetch requests and responses, read whole up to a limit. */

import { type Bytes, concatBytes } from './bytes.ts';

/** @throws what `tooLong` makes, as soon as there are more than `maxBytes`; the rest is not read */
export async function readBody(
  { body }: Pick<Request | Response, 'body'>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<Bytes> {
  const chunks: Bytes[] = [];
  let bytes = 0;
  const reader = body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) return concatBytes(...chunks);
    bytes += value.length;
    if (bytes > maxBytes) {
      await reader?.cancel();
      throw tooLong();
    }
    chunks.push(value);
  }
}
