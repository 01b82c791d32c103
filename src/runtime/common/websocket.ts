/** What every runtime's WebSockets have in common: the URL, the subprotocol, how they close, and why there is none. */

import { decodeUtf8, encodeUtf8 } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Platform } from '../../core/platform.ts';
import type { Explanation } from './explanation.ts';

export type DialWebSocket = Platform['dialWebSocket'];

export const SUBPROTOCOL = 'skein.v1';
/** Longest message that is taken: ours are at most 128 KiB. A runtime that cannot refuse it unread refuses it when it is there. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** The whole way from the dial to a WebSocket that is open. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Close codes (RFC 6455 §7.4.1) of an end that takes no more from the other. */
export const REFUSED = { text: 1003, tooBig: 1009 } as const;
/** What a host answers for an end that may be asleep (`MessagePipe.sendIdlePing`). */
export const IDLE_PING = 'ping';
export const IDLE_PONG = 'pong';

/** Nothing was said when it closed. */
export const CLOSED_WITHOUT_WORD = 1006;

const NORMAL = 1000;
const MAX_REASON_BYTES = 123;

export const NO_HUB_THERE: Explanation = {
  state: `no ${SUBPROTOCOL} spoken there`,
  remedy: 'Check that the URL leads to a skein hub.',
};
export const NO_ANSWER_IN_TIME: Explanation = {
  state: 'no answer in time',
  remedy: 'Check that the URL leads to a skein hub.',
};
export const CLOSED_IN_HANDSHAKE: Explanation = {
  state: 'closed during the handshake',
  remedy: 'See the hub log.',
};

/** @throws SkeinError SKEIN_CONFIG */
export function parseHubUrl(address: string): URL {
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read hub URL: '${address}' is malformed`, { cause });
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read hub URL: '${url.protocol}' is neither ws: nor wss:`);
  }
  return url;
}

/** What is known of a dial that led to no WebSocket, besides the words. */
export interface DialFailure {
  readonly cause?: unknown;
  readonly systemCode?: string | undefined;
  readonly httpStatus?: number | undefined;
  /** The field of the answer, as it was sent. */
  readonly retryAfter?: string | null | undefined;
}

/** SKEIN_HUB_UNREACHABLE for a dial to `url`. */
export function hubUnreachable(url: URL, explanation: Explanation, failure: DialFailure = {}): SkeinError {
  return new SkeinError(
    'SKEIN_HUB_UNREACHABLE',
    `Cannot reach hub ${url.protocol}//${url.host}: ${explanation.state}`,
    failureOptions(url, explanation, failure),
  );
}

export function failureOptions(url: URL, { remedy }: Explanation, failure: DialFailure) {
  const { cause, systemCode, httpStatus, retryAfter } = failure;
  const seconds = Number(retryAfter ?? Number.NaN);
  return {
    cause,
    details: {
      // Without user, password and query, which may hold secrets.
      url: `${url.protocol}//${url.host}${url.pathname}`,
      remedy,
      systemCode,
      httpStatus,
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
    },
  };
}

/** The code that may stand in a close message: `code`, or 1000 in place of one that no endpoint may send (RFC 6455 §7.4). */
export function toSendableCode(code: number): number {
  const isSendable =
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999);
  return isSendable ? code : NORMAL;
}

/** As much of a reason as a close message can hold, never half a character. */
export function cutReason(reason: string): string {
  const bytes = encodeUtf8(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  let end = MAX_REASON_BYTES;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return decodeUtf8(bytes.subarray(0, end));
}
