/** Ways to spoil a signed token, whatever it says: none may be accepted, and all are to be refused with one answer. */
import { encodeUtf8, toBase64Url } from '../../src/core/bytes.ts';
import { SkeinError } from '../../src/core/errors.ts';
import type { TokenForge } from './token-forge.ts';

export type Mutant = readonly [name: string, make: (forge: TokenForge) => string | Promise<string>];

const SUBJECT = 'spiffe://test.mesh/ns/default/sa/api';
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export const header = (name: string, value: unknown): Mutant => [
  value === undefined ? `no ${name}` : `header ${name} ${JSON.stringify(value)}`,
  (forge) => forge.withHeader({ [name]: value }),
];
export const claim = (what: string, name: string, value: unknown): Mutant => [
  what,
  (forge) => forge.withClaims({ [name]: value }),
];
export const text = (what: string, part: 'header' | 'claims', change: (text: string) => string): Mutant => [
  `${what} in ${part}`,
  (forge) => forge.withText(part, change),
];
export const swap = (what: string, make: (good: string) => string): Mutant => [what, ({ good }) => make(good)];

export const TOKEN_MUTANTS: readonly Mutant[] = [
  // The compact form has one spelling.
  swap('empty', () => ''),
  swap('one segment', () => 'abc'),
  swap('two segments', (token) => token.split('.').slice(0, 2).join('.')),
  swap('four segments', (token) => `${token}.e30`),
  swap('an empty header', (token) => token.replace(/^[^.]+/, '')),
  swap('empty claims', (token) => token.replace(/\.[^.]+\./, '..')),
  swap('an empty signature', (token) => token.replace(/[^.]+$/, '')),
  swap('a space before', (token) => ` ${token}`),
  swap('a space behind', (token) => `${token} `),
  swap('a line break behind', (token) => `${token}\n`),
  swap('a zero byte behind', (token) => `${token}\u0000`),
  swap('a space inside a segment', (token) => token.replace(/^(.{10})/, '$1 ')),
  swap('a line break inside a segment', (token) => token.replace(/^(.{64})/, '$1\r\n')),
  swap('the name of a scheme before', (token) => `Bearer ${token}`),
  swap('quotes around', (token) => `"${token}"`),
  swap('padding of the header', (token) => token.replace('.', '=.')),
  swap('padding of the signature', (token) => `${token}==`),
  [
    'the standard alphabet',
    // Five question marks hold, however they lie in the base64, the letter 63. A token of chance may hold none of the two
    // letters that differ, and signing it once more does not help where signatures are deterministic (RFC 6979; Deno).
    async (forge) =>
      (await forge.withClaims({ z: '?????' })).replace(/[-_]/g, (letter) => (letter === '-' ? '+' : '/')),
  ],
  swap('percent encoding', (token) => token.replace('.', '%2E')),
  swap('a full-width letter', (token) => token.replace('e', '\uff45')),
  swap('a letter whose low byte is the right one', (token) => token.replace('e', '\u0165')),
  swap('non-zero trailing bits', (token) => token.slice(0, -1) + ALPHABET[ALPHABET.indexOf(token.at(-1) ?? '') | 1]),
  swap('more than 8 KiB', (token) => `${token}${'A'.repeat(8192)}`),
  text('more than 8 KiB, signed', 'claims', (json) => json.replace('{', `{"z":"${'z'.repeat(8192)}",`)),
  swap('JSON serialisation', (token) => JSON.stringify({ payload: token.split('.')[1], signatures: [] })),

  // What is inside is one JSON object, which all read alike.
  text('a list', 'header', () => '[]'),
  text('no JSON', 'header', () => '{'),
  text('null', 'header', () => 'null'),
  text('text', 'claims', () => '"x"'),
  text('null', 'claims', () => 'null'),
  text('something behind', 'claims', (json) => `${json}{}`),
  text('a comment', 'claims', (json) => json.replace('{', '{/**/')),
  text('a last comma', 'claims', (json) => json.replace(/\}$/, ',}')),
  text('a byte order mark', 'header', (json) => `\ufeff${json}`),
  text('a byte order mark', 'claims', (json) => `\ufeff${json}`),
  text('a duplicate', 'header', (json) => json.replace('{', '{"alg":"none",')),
  text('a duplicate', 'claims', (json) => json.replace('{', '{"sub":"spiffe://test.mesh/ns/default/sa/root",')),
  text('an escaped duplicate', 'claims', (json) =>
    json.replace('{', '{"s\\u0075b":"spiffe://test.mesh/ns/a/sa/root",'),
  ),
  text('a duplicate at the end', 'claims', (json) => json.replace(/\}$/, ',"exp":9999999999}')),
  text('a duplicate nobody reads', 'claims', (json) => json.replace('{', '{"z":1,"z":1,')),
  text('a duplicate __proto__', 'claims', (json) => json.replace('{', '{"__proto__":1,"__proto__":1,')),
  text('deep nesting', 'claims', (json) => json.replace('{', `{"z":${'['.repeat(50)}${']'.repeat(50)},`)),
  [
    'bytes that are no UTF-8',
    async ({ claims: of, good, signingKey }) => {
      const claims = encodeUtf8(JSON.stringify({ ...of, z: 'z' }));
      claims[claims.lastIndexOf(0x7a)] = 0xff;
      const signed = `${good.split('.')[0]}.${toBase64Url(claims)}`;
      return `${signed}.${toBase64Url(await signingKey.sign(encodeUtf8(signed)))}`;
    },
  ],

  // The header says what we say, and nothing else.
  ...['none', 'HS256', 'EdDSA', 'ES256K', 'RS256', 'ES384', 'es256', '', 1, null, ['ES256'], undefined].map((alg) =>
    header('alg', alg),
  ),
  ...['other', '', '__proto__', 1, null, undefined].map((kid) => header('kid', kid)),
  ...['jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'b64', 'cty', 'zip', 'enc', 'nonce'].map((name) =>
    header(name, 'https://evil.example/'),
  ),
  header('jwk', { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) }),
  header('crit', []),
  header('crit', ['exp']),
  header('crit', ['b64']),
  text('__proto__', 'header', (json) => json.replace('{', '{"__proto__":{"alg":"ES256"},')),

  // Claims of every SVID.
  claim('no sub', 'sub', undefined),
  claim('sub that is no SPIFFE id', 'sub', 'https://test.mesh/ns/default/sa/api'),
  claim('sub in capitals', 'sub', SUBJECT.toUpperCase()),
  claim('sub with a dot segment', 'sub', 'spiffe://test.mesh/ns/default/../sa/api'),
  claim('sub with a query', 'sub', `${SUBJECT}?x`),
  claim('sub of another trust domain', 'sub', 'spiffe://other.mesh/ns/default/sa/api'),
  claim('sub of a trust domain below ours', 'sub', 'spiffe://a.test.mesh/ns/default/sa/api'),
  claim('sub as a list', 'sub', [SUBJECT]),
  claim('no exp', 'exp', undefined),
  claim('exp null', 'exp', null),
  claim('exp as text', 'exp', '1900000000'),
  claim('exp beyond all numbers', 'exp', 1e300),
  claim('exp negative', 'exp', -1),
  claim('exp as a fraction', 'exp', 1_900_000_000.5),
  claim('exp in milliseconds', 'exp', 1_900_000_000_000),
  claim('nbf as text', 'nbf', '1'),
  claim('iat as text', 'iat', '1'),

  // Signatures.
  swap('a changed signature', (token) => token.slice(0, -4) + (token.endsWith('AAAA') ? 'BBBB' : 'AAAA')),
  swap('a signature of nothing but zeros', (token) => token.replace(/[^.]+$/, 'A'.repeat(86))),
  swap('a signature that is cut', (token) => token.slice(0, -4)),
  swap('a signature that goes on', (token) => `${token.slice(0, -2)}AAAAAA`),
  [
    'a signature in DER',
    ({ good }) => {
      const der = [0x30, 0x44, 0x02, 0x20, ...Array<number>(32).fill(1), 0x02, 0x20, ...Array<number>(32).fill(1)];
      return good.replace(/[^.]+$/, toBase64Url(Uint8Array.from(der)));
    },
  ],
];

/** How `verify` refuses each of them: one text, if all is well. @throws when one is accepted */
export async function answersTo(
  mutants: readonly Mutant[],
  forge: TokenForge,
  verify: (token: string) => Promise<unknown>,
): Promise<ReadonlySet<string>> {
  const answers = new Set<string>();
  for (const [name, make] of mutants) {
    const error: unknown = await verify(await make(forge)).then(
      () => `accepted: ${name}`,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof SkeinError)) throw new Error(`${name}: ${String(error)}`);
    answers.add(`${error.code} ${error.message} ${JSON.stringify(error.details)} ${String(error.cause)}`);
  }
  return answers;
}
