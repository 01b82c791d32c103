/** Runs an HTTP/1.1 parser over given bytes, cut as a test wants, and writes down what it said. */
import type { Bytes } from '../../src/core/bytes.ts';
import { SkeinError } from '../../src/core/errors.ts';
import { decodeLatin1 } from '../../src/core/text.ts';
import { H1Parser } from '../../src/http/h1-parser.ts';
import type { Fields, RequestHead, ResponseHead } from '../../src/http/head.ts';
import { toText } from './http.ts';

export interface Parsed<Head> {
  readonly heads: Head[];
  /** One per message: its body, as far as it was read. */
  readonly bodies: string[];
  /** One per message that ended. */
  readonly trailers: Fields[];
  readonly keepAlive: boolean[];
  error: SkeinError | undefined;
  /** Bytes behind the last message read. */
  surplus: string;
}

/** Cuts bytes into pieces of `size`. */
export function cut(bytes: Bytes, size: number): Bytes[] {
  const pieces: Bytes[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
  return pieces;
}

/** Parses requests until the pieces end, going on behind each message. */
export function parseRequests(pieces: readonly Bytes[], ends = false): Parsed<RequestHead> {
  const parsed = nothing<RequestHead>();
  const parser = H1Parser.forRequests(
    {
      onRequest: (head, complete) => {
        parsed.heads.push(head);
        parsed.bodies.push('');
        parsed.keepAlive.push(parser.keepAlive);
        if (complete) parsed.trailers.push([]);
      },
      onData: (chunk) => addTo(parsed, chunk),
      onEnd: (trailers) => void parsed.trailers.push(trailers),
    },
    decodeLatin1,
  );
  run(parsed, parser, pieces, ends, () => parser.next());
  return parsed;
}

/** Parses the response to one request. */
export function parseResponse(
  pieces: readonly Bytes[],
  { method = 'GET', upgrade, ends = true }: { method?: string; upgrade?: string; ends?: boolean } = {},
): Parsed<ResponseHead> & { state: string } {
  const parsed = nothing<ResponseHead>();
  const parser = H1Parser.forResponses(
    {
      onResponse: (head, complete) => {
        parsed.heads.push(head);
        parsed.keepAlive.push(parser.keepAlive);
        if (complete && head.status >= 200) parsed.trailers.push([]);
        if (head.status >= 200) parsed.bodies.push('');
      },
      onData: (chunk) => addTo(parsed, chunk),
      onEnd: (trailers) => void parsed.trailers.push(trailers),
    },
    decodeLatin1,
  );
  parser.expect(method, upgrade);
  run(parsed, parser, pieces, ends, undefined);
  return { ...parsed, state: parser.state };
}

function nothing<Head>(): Parsed<Head> {
  return { heads: [], bodies: [], trailers: [], keepAlive: [], error: undefined, surplus: '' };
}

function addTo(parsed: Parsed<unknown>, chunk: Bytes): void {
  const last = parsed.bodies.length - 1;
  parsed.bodies[last] = (parsed.bodies[last] ?? '') + toText(chunk);
}

function run(
  parsed: Parsed<unknown>,
  parser: H1Parser,
  pieces: readonly Bytes[],
  ends: boolean,
  next: (() => void) | undefined,
): void {
  try {
    for (const piece of pieces) {
      let at = 0;
      for (;;) {
        if (parser.state === 'done' && next !== undefined) next();
        if (at === piece.length) break;
        const used = parser.push(piece, at);
        if (used === at && (parser.state === 'raw' || next === undefined)) break;
        at = used;
      }
      parsed.surplus += toText(piece.subarray(at));
    }
    if (ends) parser.end();
  } catch (error) {
    // Whatever else is thrown fails the test.
    if (!(error instanceof SkeinError)) throw error;
    parsed.error = error;
  }
}
