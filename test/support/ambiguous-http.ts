/**
 * HTTP/1.1 that two parsers could read differently (reliability.md §3.6, RFC 9112 §11.2 and the published smuggling
 * techniques). Strict HTTP refuses each; `reachesUpstream` marks the ones whose head is good and whose body is not, so that
 * the request may have been started.
 */
export interface AmbiguousRequest {
  readonly name: string;
  readonly bytes: Buffer;
  readonly reachesUpstream: boolean;
}

/** Follows every case: whoever lets it through has read the case as two requests. */
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n';

const HEADS: Record<string, string> = {
  'Content-Length and Transfer-Encoding': 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
  'Transfer-Encoding and Content-Length': 'Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG',
  'two Content-Length, different': 'Content-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  'two Content-Length, equal': 'Content-Length: 1\r\nContent-Length: 1\r\n\r\na',
  'Content-Length list': 'Content-Length: 1, 2\r\n\r\nab',
  'Content-Length list of equals': 'Content-Length: 1, 1\r\n\r\na',
  'Content-Length with plus': 'Content-Length: +1\r\n\r\na',
  'Content-Length with minus': 'Content-Length: -1\r\n\r\na',
  'Content-Length in hex': 'Content-Length: 0x1\r\n\r\na',
  'Content-Length with exponent': 'Content-Length: 1e1\r\n\r\na',
  'Content-Length with a fraction': 'Content-Length: 1.0\r\n\r\na',
  'Content-Length with inner space': 'Content-Length: 1 1\r\n\r\na',
  'Content-Length empty': 'Content-Length:\r\n\r\n',
  'Content-Length beyond any number': 'Content-Length: 99999999999999999999999\r\n\r\na',
  'Content-Length of 2^64+1': 'Content-Length: 18446744073709551617\r\n\r\na',
  'Content-Length in other digits': 'Content-Length: \xb2\r\n\r\nab',
  'Transfer-Encoding ,chunked': 'Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding chunked,': 'Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding identity': 'Transfer-Encoding: identity\r\n\r\n',
  'Transfer-Encoding gzip, chunked': 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding chunked, identity': 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding chunked, chunked': 'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding xchunked': 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding "chunked"': 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding chunked;q=1': 'Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding after vertical tab': 'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding twice': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding twice, one unknown': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding empty': 'Transfer-Encoding:\r\n\r\n',
  'space before the colon': 'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
  'tab before the colon': 'Content-Length\t: 1\r\n\r\na',
  'space before the first name': ' Content-Length: 1\r\n\r\na',
  'folded value': 'X-Folded: a\r\n b\r\n\r\n',
  'folded Transfer-Encoding': 'Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
  'bare LF after a field': 'X-A: a\nContent-Length: 1\r\n\r\na',
  'bare LF at the end of the head': 'X-A: a\r\n\n',
  'bare CR in a value': 'X-A: a\rContent-Length: 1\r\n\r\na',
  'CR CR LF': 'X-A: a\r\r\n\r\n',
  'NUL in a value': 'X-A: a\0b\r\n\r\n',
  'NUL in a name': 'X-\0A: a\r\n\r\n',
  'DEL in a value': 'X-A: a\x7fb\r\n\r\n',
  'control character in a value': 'X-A: a\x01b\r\n\r\n',
  'space in a name': 'X A: a\r\n\r\n',
  'empty name': ': a\r\n\r\n',
  'no colon': 'Content-Length 1\r\n\r\na',
  'name in parentheses': '(X): a\r\n\r\n',
  'name beyond ASCII': 'X-\xe9: a\r\n\r\n',
  'second Host': 'Host: other\r\n\r\n',
  'too many fields': `${'X-A: a\r\n'.repeat(200)}\r\n`,
  'a field too long': `X-A: ${'a'.repeat(20_000)}\r\n\r\n`,
  'a head too long': `${Array.from({ length: 60 }, (_, i) => `X-${i}: ${'a'.repeat(1_000)}\r\n`).join('')}\r\n`,
};

const BODIES: Record<string, string> = {
  'chunk size with 0x': '0x1\r\na\r\n0\r\n\r\n',
  'chunk size with plus': '+1\r\na\r\n0\r\n\r\n',
  'chunk size with minus': '-1\r\na\r\n0\r\n\r\n',
  'chunk size with leading space': ' 1\r\na\r\n0\r\n\r\n',
  'chunk size empty': '\r\na\r\n0\r\n\r\n',
  'chunk size not hexadecimal': 'g\r\na\r\n0\r\n\r\n',
  'chunk size of 20 digits': 'fffffffffffffffffff1\r\na\r\n0\r\n\r\n',
  'bare LF after a chunk size': '1\na\r\n0\r\n\r\n',
  'bare LF in a chunk extension': '1;x\na\r\n0\r\n\r\n',
  'bare CR in a chunk extension': '1;\rx\r\na\r\n0\r\n\r\n',
  'no line end after a chunk': '1\r\nab\r\n0\r\n\r\n',
  'bare LF after a chunk': '1\r\na\n0\r\n\r\n',
  'endless chunk extension': `1;${'x'.repeat(100_000)}\r\na\r\n0\r\n\r\n`,
  'NUL in a trailer': '0\r\nX-A: a\0b\r\n\r\n',
  'space before the colon of a trailer': '0\r\nX-A : a\r\n\r\n',
  'folded trailer': '0\r\nX-A: a\r\n b\r\n\r\n',
  'bare LF after a trailer': '0\r\nX-A: a\n\r\n',
  'trailers too long': `0\r\n${`X-A: ${'a'.repeat(1_000)}\r\n`.repeat(20)}\r\n`,
};

const LINES: Record<string, string> = {
  'two spaces after the method': 'GET  /echo HTTP/1.1',
  'tabs between the parts': 'GET\t/echo\tHTTP/1.1',
  'no version': 'GET /echo',
  'version in lower case': 'GET /echo http/1.1',
  'version 1.10': 'GET /echo HTTP/1.10',
  'version 2.0': 'GET /echo HTTP/2.0',
  'version 1.1 with a tail': 'GET /echo HTTP/1.1x',
  'method with a colon': 'GE:T /echo HTTP/1.1',
  'method empty': ' /echo HTTP/1.1',
  'space in the target': 'GET /ec ho HTTP/1.1',
  'control character in the target': 'GET /ec\x01ho HTTP/1.1',
  'NUL in the target': 'GET /ec\0ho HTTP/1.1',
  'byte beyond ASCII in the target': 'GET /ec\xffho HTTP/1.1',
  'fragment in the target': 'GET /echo#part HTTP/1.1',
  'target without a slash': 'GET echo HTTP/1.1',
  'authority with user information': 'GET http://user:pass@HOST/echo HTTP/1.1',
  'bare CR in the line': 'GET /echo\r HTTP/1.1',
};

/** @param host the mesh name that a lenient reader would reach */
export function ambiguousRequests(host: string): AmbiguousRequest[] {
  const make = (name: string, text: string, reachesUpstream: boolean): AmbiguousRequest => ({
    name,
    bytes: Buffer.from((text + SMUGGLED).replaceAll('HOST', host), 'latin1'),
    reachesUpstream,
  });
  return [
    ...Object.entries(HEADS).map(([name, rest]) => make(name, `POST /echo HTTP/1.1\r\nHost: HOST\r\n${rest}`, false)),
    ...Object.entries(BODIES).map(([name, body]) =>
      make(name, `POST /echo HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n${body}`, true),
    ),
    ...Object.entries(LINES).map(([name, line]) => make(name, `${line}\r\nHost: HOST\r\n\r\n`, false)),
    make('no Host', 'GET /echo HTTP/1.1\r\n\r\n', false),
    make('empty Host', 'GET /echo HTTP/1.1\r\nHost:\r\n\r\n', false),
    make('Host with a path', 'GET /echo HTTP/1.1\r\nHost: HOST/x\r\n\r\n', false),
    make('Host list', 'GET /echo HTTP/1.1\r\nHost: HOST, HOST\r\n\r\n', false),
    make(
      'Transfer-Encoding in HTTP/1.0',
      'POST /echo HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      false,
    ),
    make('bare LF everywhere', 'GET /echo HTTP/1.1\nHost: HOST\n\n', false),
  ];
}
