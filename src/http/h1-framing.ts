/**
 * How long a message's body is and whether its connection lives on (RFC 9112 §6, §9): one table of rules per role.
 * A message that two readers could cut differently is refused, since that is what request smuggling is made of.
 */

import { removeField, splitList } from './fields.ts';
import { type H1Scanner, malformed } from './h1-scanner.ts';
import type { Fields } from './head.ts';

export interface H1Framing {
  /** `raw`: the rest of the connection; only after a 101 or a 2xx to CONNECT. `until-close`: responses only. */
  readonly kind: 'none' | 'length' | 'chunked' | 'until-close' | 'raw';
  /** Bytes of the body when `kind` is `length`, else 0. */
  readonly length: number;
  readonly keepAlive: boolean;
  readonly minorVersion: number;
  readonly upgrade: string | undefined;
  readonly expectsContinue: boolean;
  /** The scanned fields without those that mean nothing here. */
  readonly fields: Fields;
}

/** @throws SkeinError SKEIN_BAD_REQUEST with 400 or 501 */
export function readRequestFraming(scanned: H1Scanner): H1Framing {
  const { minorVersion } = scanned;
  const kind = readKind(scanned);
  const length = kind === 'length' ? parseLength(scanned.contentLength) : 0;
  if (scanned.method === 'CONNECT' && (kind === 'chunked' || length > 0)) throw malformed('CONNECT with a body');
  const complete = kind === undefined || (kind === 'length' && length === 0);
  const isCurrent = minorVersion === 1;
  return {
    kind: complete ? 'none' : kind,
    length,
    keepAlive: keepsAlive(scanned),
    minorVersion,
    upgrade: isCurrent && complete && scanned.upgrade !== '' ? chooseProtocol(scanned) : undefined,
    expectsContinue: scanned.expects && isCurrent && !complete,
    // RFC 9110 §10.1.1: an HTTP/1.0 client cannot mean it.
    fields: scanned.expects && !isCurrent ? removeField(scanned.fields, 'expect') : scanned.fields,
  };
}

/** `requestMethod` and `requestUpgrade` are those of the request it answers. @throws SkeinError SKEIN_BAD_REQUEST */
export function readResponseFraming(
  scanned: H1Scanner,
  requestMethod: string,
  requestUpgrade: string | undefined,
): H1Framing {
  const { status, fields } = scanned;
  const kind = readKind(scanned);
  const length = kind === 'length' ? parseLength(scanned.contentLength) : 0;
  if (status < 200 || status === 204) {
    // RFC 9110 §8.6, RFC 9112 §6.1: such an answer has no length; one that states it leaves room for two readings.
    if (kind === 'chunked' || length > 0) throw malformed(`status ${status} with a body`);
    const bare = kind === undefined ? fields : removeField(fields, 'content-length');
    if (status !== 101) return toFraming(scanned, 'none', 0, bare);
    const upgrade = requestUpgrade === undefined ? undefined : chooseProtocol(scanned);
    if (upgrade === undefined) throw malformed('status 101 without an upgrade that was asked for');
    return toFraming(scanned, 'raw', 0, bare, upgrade);
  }
  if (requestMethod === 'CONNECT' && status < 300) {
    return toFraming(scanned, 'raw', 0, removeField(fields, 'content-length'));
  }
  if (requestMethod === 'HEAD' || status === 304) return toFraming(scanned, 'none', 0, fields);
  if (kind === undefined) return toFraming(scanned, 'until-close', 0, fields);
  return toFraming(scanned, kind === 'length' && length === 0 ? 'none' : kind, length, fields);
}

function toFraming(
  scanned: H1Scanner,
  kind: H1Framing['kind'],
  length: number,
  fields: Fields,
  upgrade: string | undefined = undefined,
): H1Framing {
  const { minorVersion } = scanned;
  const keepAlive = kind !== 'until-close' && keepsAlive(scanned);
  return { kind, length, keepAlive, minorVersion, upgrade, expectsContinue: false, fields };
}

/** What the head says about the body; undefined when it says nothing. */
function readKind(scanned: H1Scanner): 'length' | 'chunked' | undefined {
  const { contentLengthCount, transferEncodingCount } = scanned;
  if (transferEncodingCount > 0) {
    if (contentLengthCount > 0) throw malformed('both Content-Length and Transfer-Encoding');
    if (scanned.minorVersion === 0) throw malformed('Transfer-Encoding in HTTP/1.0');
    if (transferEncodingCount > 1 || scanned.transferEncoding.toLowerCase() !== 'chunked') {
      throw malformed('Transfer-Encoding is not exactly "chunked"', 501);
    }
    return 'chunked';
  }
  if (contentLengthCount > 1) throw malformed('more than one Content-Length');
  return contentLengthCount === 1 ? 'length' : undefined;
}

const LENGTH = /^[0-9]{1,15}$/;

/** At most 15 digits, which is below 2^53. */
function parseLength(text: string): number {
  if (!LENGTH.test(text)) throw malformed('Content-Length is not a number');
  return Number(text);
}

function keepsAlive({ connection, minorVersion }: H1Scanner): boolean {
  if (connection.length === 0) return minorVersion === 1;
  return !connection.includes('close') && (minorVersion === 1 || connection.includes('keep-alive'));
}

const PROTOCOL = /^[\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?$/;

/** The first protocol asked for; `h2c` is never one, since its upgrade hides requests from whoever forwards it. */
function chooseProtocol(scanned: H1Scanner): string | undefined {
  if (!scanned.connection.includes('upgrade')) return undefined;
  return splitList(scanned.upgrade.toLowerCase()).find(
    (name) => PROTOCOL.test(name) && name !== 'h2c' && name.length <= 256,
  );
}
