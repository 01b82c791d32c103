/** GET of a document that somebody else serves, with an end in bytes and in time. */

import { readBody } from '../../core/body.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Platform } from '../../core/platform.ts';

export const getDocument: Platform['getDocument'] = async (url, { maxBytes, timeoutMs }) => {
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    return {
      status: response.status,
      location: response.headers.get('location') ?? undefined,
      body: await readBody(response, maxBytes, () => new RangeError(`more than ${maxBytes} bytes`)),
    };
  } catch (cause) {
    const state = cause instanceof RangeError ? cause.message : 'no answer';
    throw new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot get document: ${state}`, { cause, details: { url } });
  }
};
