/**
 * Messages that two readers could take for different ones, or that are none. Sources: RFC 9112 and RFC 9110 (the
 * section is named), and the shapes published on request smuggling (CL.TE, TE.CL, TE.TE, CL.0, H2 downgrades).
 */

/** `status`: what a server must answer; 0 where the message is merely cut short and must be given up. */
export interface Refused {
  readonly name: string;
  readonly text: string;
  readonly status: number;
}

const GET = 'GET / HTTP/1.1\r\n';
const POST = 'POST / HTTP/1.1\r\n';
const HOST = 'Host: api.mesh\r\n';
const INNER = 'GET /admin HTTP/1.1\r\nHost: api.mesh\r\n\r\n';

function lengths(...values: readonly string[]): string {
  return `${POST}${HOST}${values.map((value) => `Content-Length:${value}\r\n`).join('')}\r\nabcdef`;
}

function coding(field: string): string {
  return `${POST}${HOST}${field}\r\n\r\n0\r\n\r\n`;
}

function both(first: string, second: string): string {
  return `${POST}${HOST}${first}\r\n${second}\r\n\r\n0\r\n\r\n${INNER}`;
}

function chunks(body: string): string {
  return `${POST}${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`;
}

function field(line: string): string {
  return `${GET}${HOST}${line}\r\n\r\n`;
}

const hosts = (lines: string): string => `${GET}${lines}\r\n`;

/** Refused when their head is complete: no handler hears of them. */
export const REFUSED_HEADS: readonly Refused[] = [
  // RFC 9112 §6.1, §6.3: both lengths.
  { name: 'CL.TE', text: both('Content-Length: 6', 'Transfer-Encoding: chunked'), status: 400 },
  { name: 'TE.CL', text: both('Transfer-Encoding: chunked', 'Content-Length: 6'), status: 400 },
  { name: 'CL 0 with TE', text: both('Content-Length: 0', 'Transfer-Encoding: chunked'), status: 400 },
  { name: 'CL with TE identity', text: both('Content-Length: 6', 'Transfer-Encoding: identity'), status: 400 },
  { name: 'CL with empty TE', text: both('Content-Length: 6', 'Transfer-Encoding:'), status: 400 },
  { name: 'CL with TE in capitals', text: both('CONTENT-LENGTH: 6', 'TRANSFER-ENCODING: chunked'), status: 400 },
  {
    name: 'CL and TE named by Connection',
    text: `${POST}${HOST}Connection: transfer-encoding\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
  },
  {
    name: 'CL and TE named by Connection as well',
    text: `${POST}${HOST}Connection: content-length\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
  },
  // RFC 9112 §6.3: Content-Length that is no single number.
  { name: 'two lengths', text: lengths(' 6', ' 5'), status: 400 },
  { name: 'two equal lengths', text: lengths(' 6', ' 6'), status: 400 },
  { name: 'three lengths', text: lengths(' 6', ' 6', ' 6'), status: 400 },
  { name: 'a length and nought', text: lengths(' 0', ' 6'), status: 400 },
  { name: 'a list of lengths', text: lengths(' 6, 6'), status: 400 },
  { name: 'a list of lengths with comma', text: lengths(' 6,'), status: 400 },
  { name: 'a comma and a length', text: lengths(' ,6'), status: 400 },
  { name: 'an empty length', text: lengths(''), status: 400 },
  { name: 'a length of space', text: lengths('  '), status: 400 },
  { name: 'a length with plus', text: lengths(' +6'), status: 400 },
  { name: 'a length with minus', text: lengths(' -6'), status: 400 },
  { name: 'a length of minus nought', text: lengths(' -0'), status: 400 },
  { name: 'a length with point', text: lengths(' 6.0'), status: 400 },
  { name: 'a length with exponent', text: lengths(' 6e0'), status: 400 },
  { name: 'a length in hexadecimal', text: lengths(' 0x6'), status: 400 },
  { name: 'a length with underscore', text: lengths(' 1_0'), status: 400 },
  { name: 'a length in quotes', text: lengths(' "6"'), status: 400 },
  { name: 'two numbers in a length', text: lengths(' 6 6'), status: 400 },
  { name: 'a length with tab inside', text: lengths(' 6\t6'), status: 400 },
  { name: 'a length with a letter', text: lengths(' 6a'), status: 400 },
  { name: 'a length over 2^64', text: lengths(' 18446744073709551622'), status: 400 },
  { name: 'a length over 2^53', text: lengths(' 9007199254740993'), status: 400 },
  { name: 'a length of Arabic digits', text: lengths(' \xd9\xa6'), status: 400 },
  { name: 'a length of NaN', text: lengths(' NaN'), status: 400 },
  { name: 'a length of Infinity', text: lengths(' Infinity'), status: 400 },
  // RFC 9112 §6.1: codings other than exactly chunked.
  { name: 'TE identity', text: coding('Transfer-Encoding: identity'), status: 501 },
  { name: 'TE gzip', text: coding('Transfer-Encoding: gzip'), status: 501 },
  { name: 'TE gzip, chunked', text: coding('Transfer-Encoding: gzip, chunked'), status: 501 },
  { name: 'TE chunked, gzip', text: coding('Transfer-Encoding: chunked, gzip'), status: 501 },
  { name: 'TE chunked, chunked', text: coding('Transfer-Encoding: chunked, chunked'), status: 501 },
  { name: 'TE chunked, identity', text: coding('Transfer-Encoding: chunked, identity'), status: 501 },
  { name: 'TE xchunked', text: coding('Transfer-Encoding: xchunked'), status: 501 },
  { name: 'TE chunkedx', text: coding('Transfer-Encoding: chunkedx'), status: 501 },
  { name: 'TE with comma first', text: coding('Transfer-Encoding: ,chunked'), status: 501 },
  { name: 'TE with comma last', text: coding('Transfer-Encoding: chunked,'), status: 501 },
  { name: 'TE with a parameter', text: coding('Transfer-Encoding: chunked;q=1'), status: 501 },
  { name: 'TE in quotes', text: coding('Transfer-Encoding: "chunked"'), status: 501 },
  { name: 'TE in apostrophes', text: coding("Transfer-Encoding: 'chunked'"), status: 501 },
  { name: 'TE twice', text: coding('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'), status: 501 },
  {
    name: 'TE identity and chunked in two fields',
    text: coding('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked'),
    status: 501,
  },
  {
    name: 'TE chunked and identity in two fields',
    text: coding('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity'),
    status: 501,
  },
  { name: 'TE empty', text: coding('Transfer-Encoding:'), status: 501 },
  { name: 'TE with a high byte', text: coding('Transfer-Encoding: \xa0chunked'), status: 501 },
  { name: 'TE with a Kelvin sign', text: coding('Transfer-Encoding: chun\xe2\x84\xaaed'), status: 501 },
  { name: 'TE with vertical tab', text: coding('Transfer-Encoding: \x0bchunked'), status: 400 },
  { name: 'TE with form feed', text: coding('Transfer-Encoding: chunked\x0c'), status: 400 },
  { name: 'TE with NUL', text: coding('Transfer-Encoding: chunked\0'), status: 400 },
  {
    name: 'TE in HTTP/1.0',
    text: `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
  },
  {
    name: 'TE and CL in HTTP/1.0',
    text: `POST / HTTP/1.0\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na`,
    status: 400,
  },
  // RFC 9112 §5.1: names that are spelt nearly right.
  { name: 'space before the colon', text: field('Transfer-Encoding : chunked'), status: 400 },
  { name: 'tab before the colon', text: field('Transfer-Encoding\t: chunked'), status: 400 },
  { name: 'NUL before the colon', text: field('Transfer-Encoding\0: chunked'), status: 400 },
  { name: 'vertical tab before the colon', text: field('Transfer-Encoding\x0b: chunked'), status: 400 },
  { name: 'high byte in a name', text: field('Transfer\xadEncoding: chunked'), status: 400 },
  { name: 'space in a name', text: field('Transfer Encoding: chunked'), status: 400 },
  { name: 'no colon', text: field('Transfer-Encoding'), status: 400 },
  { name: 'no name', text: field(': chunked'), status: 400 },
  { name: 'quotes around a name', text: field('"Content-Length": 6'), status: 400 },
  { name: 'parentheses in a name', text: field('A(b): c'), status: 400 },
  { name: 'slash in a name', text: field('A/b: c'), status: 400 },
  { name: 'brackets in a name', text: field('A[b]: c'), status: 400 },
  { name: 'braces in a name', text: field('A{b}: c'), status: 400 },
  { name: 'at sign in a name', text: field('A@b: c'), status: 400 },
  { name: 'backslash in a name', text: field('A\\b: c'), status: 400 },
  { name: 'comma in a name', text: field('A,b: c'), status: 400 },
  { name: 'equals sign in a name', text: field('A=b: c'), status: 400 },
  { name: 'DEL in a name', text: field('A\x7f: c'), status: 400 },
  // RFC 9112 §5.2: folding.
  { name: 'a folded value', text: field('A: b\r\n c'), status: 400 },
  { name: 'a value folded by tab', text: field('A: b\r\n\tc'), status: 400 },
  { name: 'a folded TE', text: coding('Transfer-Encoding:\r\n chunked'), status: 400 },
  { name: 'a folded CL', text: lengths('\r\n 6'), status: 400 },
  { name: 'a folded first field', text: `${GET} Host: api.mesh\r\n\r\n`, status: 400 },
  { name: 'white space before the first field', text: `${GET} \r\n${HOST}\r\n`, status: 400 },
  { name: 'a fold at the end', text: field('A: b\r\n '), status: 400 },
  // RFC 9112 §2.2: line ends.
  { name: 'bare line feeds', text: 'GET / HTTP/1.1\nHost: api.mesh\n\n', status: 400 },
  { name: 'bare line feed behind the request line', text: `GET / HTTP/1.1\n${HOST}\r\n`, status: 400 },
  { name: 'bare line feed behind a field', text: `${GET}Host: api.mesh\nA: b\r\n\r\n`, status: 400 },
  { name: 'bare line feed as empty line', text: `${GET}${HOST}\n`, status: 400 },
  { name: 'bare line feed and then CR LF', text: `${GET}${HOST}\n\r\n`, status: 400 },
  { name: 'bare carriage return in a value', text: field('A: b\rc'), status: 400 },
  { name: 'bare carriage return hides a field', text: field('A: b\rTransfer-Encoding: chunked'), status: 400 },
  { name: 'bare carriage return behind the request line', text: `GET / HTTP/1.1\r${HOST}\r\n`, status: 400 },
  { name: 'two carriage returns', text: `GET / HTTP/1.1\r\r\n${HOST}\r\n`, status: 400 },
  { name: 'two carriage returns behind a field', text: `${GET}Host: api.mesh\r\r\n\r\n`, status: 400 },
  { name: 'two carriage returns as empty line', text: `${GET}${HOST}\r\r\n`, status: 400 },
  { name: 'carriage return in a name', text: field('A\rb: c'), status: 400 },
  { name: 'line feed in a value', text: field('A: b\nTransfer-Encoding: chunked'), status: 400 },
  { name: 'line feed and carriage return', text: `GET / HTTP/1.1\n\r${HOST}\r\n`, status: 400 },
  { name: 'two empty lines first', text: `\r\n\r\n${GET}${HOST}\r\n`, status: 400 },
  { name: 'bare line feed first', text: `\n${GET}${HOST}\r\n`, status: 400 },
  { name: 'bare carriage return first', text: `\r${GET}${HOST}\r\n`, status: 400 },
  { name: 'space first', text: ` ${GET}${HOST}\r\n`, status: 400 },
  // RFC 9110 §5.5: characters of values.
  { name: 'NUL in a value', text: field('A: b\0c'), status: 400 },
  { name: 'backspace in a value', text: field('A: b\x08c'), status: 400 },
  { name: 'escape in a value', text: field('A: b\x1bc'), status: 400 },
  { name: 'DEL in a value', text: field('A: b\x7fc'), status: 400 },
  // RFC 9112 §3.2: Host.
  { name: 'no Host', text: `${GET}\r\n`, status: 400 },
  { name: 'two Hosts', text: hosts('Host: a\r\nHost: b\r\n'), status: 400 },
  { name: 'two equal Hosts', text: hosts('Host: a\r\nHost: a\r\n'), status: 400 },
  { name: 'two Hosts in HTTP/1.0', text: 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', status: 400 },
  { name: 'an empty Host', text: hosts('Host:\r\n'), status: 400 },
  { name: 'a list of hosts', text: hosts('Host: a, b\r\n'), status: 400 },
  { name: 'a Host with user', text: hosts('Host: user@a\r\n'), status: 400 },
  { name: 'a Host with path', text: hosts('Host: a/b\r\n'), status: 400 },
  { name: 'a Host with space', text: hosts('Host: a b\r\n'), status: 400 },
  { name: 'a Host with scheme', text: hosts('Host: http://a\r\n'), status: 400 },
  { name: 'a Host with a port of letters', text: hosts('Host: a:b\r\n'), status: 400 },
  { name: 'a Host with an empty port', text: hosts('Host: a:\r\n'), status: 400 },
  { name: 'a Host with an impossible port', text: hosts('Host: a:65536\r\n'), status: 400 },
  { name: 'a Host with two ports', text: hosts('Host: a:1:2\r\n'), status: 400 },
  { name: 'a Host with percent signs', text: hosts('Host: a%2eb\r\n'), status: 400 },
  { name: 'a Host with a high byte', text: hosts('Host: a\xff\r\n'), status: 400 },
  { name: 'a Host with quotes', text: hosts('Host: "a"\r\n'), status: 400 },
  { name: 'a Host of an open bracket', text: hosts('Host: [::1\r\n'), status: 400 },
  { name: 'absolute-form without Host', text: 'GET http://a/ HTTP/1.1\r\n\r\n', status: 400 },
  { name: 'absolute-form with two Hosts', text: 'GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', status: 400 },
  // RFC 9112 §3: the request line.
  { name: 'a method with a colon', text: `G:T / HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'no method', text: ` / HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'no target', text: `GET HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'an empty target', text: `GET  HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'two spaces before the target', text: `GET  / HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'two spaces before the version', text: `GET /  HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'tab for space', text: `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'tab before the version', text: `GET /\tHTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'space behind the version', text: `GET / HTTP/1.1 \r\n${HOST}\r\n`, status: 400 },
  { name: 'two targets', text: `GET / /b HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'HTTP/0.9', text: 'GET /\r\n\r\n', status: 400 },
  { name: 'a fragment', text: `GET /a#b HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'a high byte in the target', text: `GET /\xff HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'NUL in the target', text: `GET /\0 HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'DEL in the target', text: `GET /\x7f HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'a target without slash', text: `GET admin HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'a target of a query', text: `GET ?a HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'a target of ..', text: `GET ../ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'asterisk-form of GET', text: `GET * HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'authority-form of GET', text: `GET a.mesh:80 HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'absolute-form with user', text: `GET http://user@a.mesh/ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  {
    name: 'absolute-form with user and host alike',
    text: `GET http://api.mesh:80@evil/ HTTP/1.1\r\n${HOST}\r\n`,
    status: 400,
  },
  { name: 'absolute-form with backslash', text: `GET http://api.mesh\\@evil/ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'absolute-form without host', text: `GET http:///a HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'absolute-form of one slash', text: `GET http:/a HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'absolute-form of ftp', text: `GET ftp://a/ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'absolute-form of file', text: `GET file:///etc/passwd HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'CONNECT to a path', text: `CONNECT / HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'CONNECT without a port', text: `CONNECT a.mesh HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'CONNECT in absolute-form', text: `CONNECT http://a.mesh:80/ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'CONNECT with user', text: `CONNECT u@a.mesh:80 HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  {
    name: 'CONNECT with a length',
    text: `CONNECT a.mesh:80 HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    status: 400,
  },
  {
    name: 'CONNECT with chunks',
    text: `CONNECT a.mesh:80 HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
  },
  // RFC 9110 §2.5, RFC 9112 §2.3: versions.
  { name: 'HTTP/1.2', text: `GET / HTTP/1.2\r\n${HOST}\r\n`, status: 505 },
  { name: 'HTTP/1.9', text: `GET / HTTP/1.9\r\n${HOST}\r\n`, status: 505 },
  { name: 'HTTP/2.0', text: `GET / HTTP/2.0\r\n${HOST}\r\n`, status: 505 },
  { name: 'HTTP/0.9 spelt out', text: `GET / HTTP/0.9\r\n${HOST}\r\n`, status: 505 },
  { name: 'the HTTP/2 preface', text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: 505 },
  { name: 'a version in small letters', text: `GET / http/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'HTTP/1', text: `GET / HTTP/1\r\n${HOST}\r\n`, status: 400 },
  { name: 'HTTP/1.10', text: `GET / HTTP/1.10\r\n${HOST}\r\n`, status: 400 },
  { name: 'HTTP/01.1', text: `GET / HTTP/01.1\r\n${HOST}\r\n`, status: 505 },
  { name: 'HTTP-1.1', text: `GET / HTTP-1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'HTTPS/1.1', text: `GET / HTTPS/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: 'a version of NUL', text: `GET / HTTP/1.\0\r\n${HOST}\r\n`, status: 400 },
  // Not HTTP at all.
  { name: 'a TLS hello', text: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', status: 400 },
  { name: 'a response', text: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', status: 400 },
  { name: 'a PROXY line', text: `PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n${GET}${HOST}\r\n`, status: 400 },
];

/** Refused within the body: the request has begun, and must never end as if it were whole. */
export const REFUSED_BODIES: readonly Refused[] = [
  { name: 'a chunk size of letters', text: chunks('xyz\r\n'), status: 400 },
  { name: 'an empty chunk size', text: chunks('\r\nabc'), status: 400 },
  { name: 'a chunk size of an extension only', text: chunks(';a\r\n'), status: 400 },
  { name: 'a chunk size with 0x', text: chunks('0x5\r\nhello\r\n0\r\n\r\n'), status: 400 },
  { name: 'a chunk size with minus', text: chunks('-5\r\nhello\r\n'), status: 400 },
  { name: 'a chunk size with plus', text: chunks('+5\r\nhello\r\n'), status: 400 },
  { name: 'a chunk size with underscore', text: chunks('1_0\r\n'), status: 400 },
  { name: 'a chunk size over 2^32', text: chunks('100000000\r\nhello\r\n'), status: 400 },
  { name: 'a chunk size over 2^64', text: chunks('10000000000000005\r\nhello\r\n'), status: 400 },
  { name: 'noughts without end', text: chunks('0000000000005\r\nhello\r\n'), status: 400 },
  { name: 'space before a chunk size', text: chunks(' 5\r\nhello\r\n'), status: 400 },
  { name: 'space behind a chunk size', text: chunks('5 \r\nhello\r\n'), status: 400 },
  { name: 'tab behind a chunk size', text: chunks('5\t\r\nhello\r\n'), status: 400 },
  { name: 'space before an extension', text: chunks('5 ;a\r\nhello\r\n'), status: 400 },
  { name: 'bare line feed behind a chunk size', text: chunks('5\nhello\r\n0\r\n\r\n'), status: 400 },
  { name: 'bare carriage return behind a chunk size', text: chunks('5\rhello\r\n'), status: 400 },
  { name: 'bare line feed in an extension', text: chunks('5;a\nhello\r\n'), status: 400 },
  { name: 'bare carriage return in an extension', text: chunks('5;a\rb\r\nhello\r\n'), status: 400 },
  { name: 'NUL in an extension', text: chunks('5;a\0\r\nhello\r\n'), status: 400 },
  { name: 'a chunk longer than its size', text: chunks('4\r\nhello\r\n0\r\n\r\n'), status: 400 },
  { name: 'a chunk shorter than its size', text: chunks('6\r\nhello\r\n0\r\n\r\n'), status: 400 },
  { name: 'bare line feed behind a chunk', text: chunks('5\r\nhello\n0\r\n\r\n'), status: 400 },
  { name: 'bare carriage return behind a chunk', text: chunks('5\r\nhello\r0\r\n\r\n'), status: 400 },
  { name: 'two characters for CR LF behind a chunk', text: chunks('5\r\nhelloXX0\r\n\r\n'), status: 400 },
  { name: 'an empty line behind a chunk', text: chunks('5\r\nhello\r\n\r\n0\r\n\r\n'), status: 400 },
  { name: 'a bare line feed behind the last chunk', text: chunks('0\n\r\n'), status: 400 },
  { name: 'a bare line feed as the last line', text: chunks('0\r\n\n'), status: 400 },
  { name: 'a bare carriage return as the last line', text: chunks('0\r\n\rX'), status: 400 },
  { name: 'a request for trailers', text: chunks(`0\r\n${INNER}`), status: 400 },
  { name: 'a trailer with space before the colon', text: chunks('0\r\nA : b\r\n\r\n'), status: 400 },
  { name: 'a folded trailer', text: chunks('0\r\nA: b\r\n c\r\n\r\n'), status: 400 },
  { name: 'a trailer with NUL', text: chunks('0\r\nA: \0\r\n\r\n'), status: 400 },
  { name: 'a trailer with bare line feed', text: chunks('0\r\nA: b\n\r\n'), status: 400 },
  { name: 'a body that is cut short', text: `${POST}${HOST}Content-Length: 10\r\n\r\nabc`, status: 0 },
  { name: 'a chunk that is cut short', text: chunks('5\r\nhel'), status: 0 },
  { name: 'chunks without the last', text: chunks('5\r\nhello\r\n'), status: 0 },
  { name: 'trailers that are cut short', text: chunks('0\r\nA: b\r\n'), status: 0 },
];
