/** SPIFFE ids against SPIFFE-ID §2, with every byte value in each position, as go-spiffe's own suite does. */

import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSpiffeId, tryParseSpiffeId } from '../../../src/core/spiffe-id.ts';

const TRUST_DOMAIN_CHARACTERS = new Set('abcdefghijklmnopqrstuvwxyz0123456789.-_');
const SEGMENT_CHARACTERS = new Set('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_');

describe('SPIFFE id', () => {
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code);
    const name = `0x${code.toString(16).padStart(2, '0')}`;
    it(`${name} stands in a trust domain only where the specification lets it`, () => {
      const id = tryParseSpiffeId(`spiffe://tr${character}st/path`);
      // A slash there begins the path; a second one ends nothing.
      const expected = TRUST_DOMAIN_CHARACTERS.has(character) || character === '/';
      equal(id !== undefined, expected);
      if (id !== undefined) equal(id.trustDomain, character === '/' ? 'tr' : `tr${character}st`);
    });
    it(`${name} stands in a path only where the specification lets it`, () => {
      const id = tryParseSpiffeId(`spiffe://trust/pa${character}th`);
      equal(id !== undefined, SEGMENT_CHARACTERS.has(character) || character === '/');
      if (id !== undefined) deepEqual(id.segments, character === '/' ? ['pa', 'th'] : [`pa${character}th`]);
    });
  }

  const accepted = [
    'spiffe://trust',
    'spiffe://127.0.0.1/x',
    'spiffe://a_b-c.d/x',
    'spiffe://trust/.x',
    'spiffe://trust/..x',
    'spiffe://trust/...',
    'spiffe://trust/x/Y/0_1-2.3',
    `spiffe://${'t'.repeat(255)}/x`,
    `spiffe://trust/${'p'.repeat(2048 - 15)}`,
  ];
  for (const text of accepted) {
    it(`accepts ${text.slice(0, 60)} (${text.length})`, () => equal(parseSpiffeId(text).uri, text));
  }

  const refused = [
    '',
    'trust/path',
    'spiffe:',
    'spiffe:/trust/path',
    'spiffe://',
    'spiffe:///path',
    'Spiffe://trust/path',
    'SPIFFE://trust/path',
    'http://trust/path',
    'spiffe://TRUST/path',
    'spiffe://trust:80/path',
    'spiffe://user@trust/path',
    'spiffe://user:pass@trust/path',
    'spiffe://[::1]/path',
    'spiffe://trust/',
    'spiffe://trust/path/',
    'spiffe://trust//path',
    'spiffe://trust/.',
    'spiffe://trust/./path',
    'spiffe://trust/..',
    'spiffe://trust/../path',
    'spiffe://trust/path?query',
    'spiffe://trust/path#fragment',
    'spiffe://trust/p%61th',
    'spiffe://tr%75st/path',
    ' spiffe://trust/path',
    'spiffe://trust/path ',
    'spiffe://trust/path\n',
    'spiffe://trüst/path',
    'spiffe://trust/päth',
    'spiffe://trust/path\u{1f600}',
    `spiffe://${'t'.repeat(256)}/x`,
    `spiffe://trust/${'p'.repeat(2048 - 14)}`,
  ];
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 60))} (${text.length})`, () => {
      equal(tryParseSpiffeId(text), undefined);
      throws(() => parseSpiffeId(text), { code: 'SKEIN_IDENTITY' });
    });
  }

  it('never says what it could not read: the text may be a secret in the wrong place', () => {
    throws(
      () => parseSpiffeId('spiffe://trust/secret?x'),
      (error: Error) => {
        ok(!error.message.includes('secret'));
        return true;
      },
    );
  });
});
