/** GET of a document that somebody else serves, with an end in bytes and in time. */

import { type Bytes, concatBytes } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Platform } from '../../core/platform.ts';

export const getDocument: Platform['getDocument'] = async (url, { maxBytes, timeoutMs }) => {
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: response.status, body: await readBody(response, maxBytes) };
  } catch (cause) {
    const state = cause instanceof RangeError ? cause.message : 'no answer';
    throw new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot get document: ${state}`, { cause, details: { url } });
  }
};

async function readBody(response: Response, maxBytes: number): Promise<Bytes> {
  const chunks: Bytes[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) return concatBytes(...chunks);
    bytes += value.length;
    if (bytes > maxBytes) {
      await reader?.cancel();
      throw new RangeError(`more than ${maxBytes} bytes`);
    }
    chunks.push(value);
  }
}
