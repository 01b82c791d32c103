/**
 * Path confusion: what policy allows, no server may read as something else. The oracle are models of how real servers read
 * a request target; a path that any of them takes for `/admin…` must not pass the policies that protect it.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Authorizer } from '../../../src/auth/authorizer.ts';
import type { AuthorizationPolicy, PolicySpec } from '../../../src/catalog/authorization-policy.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { effort } from '../../support/effort.ts';
import { printFigures } from '../../support/figures.ts';
import { READERS, readersOfAdmin, spellings } from '../../support/path-confusion.ts';

const SEED = 20_261;
const caller = toWorkloadId('test.mesh', 'default', 'web');
const policy = (name: string, spec: PolicySpec): AuthorizationPolicy => ({ name, namespace: 'default', spec });

/** Two ways to protect `/admin` and all below it. */
const POLICIES: readonly [name: string, policies: readonly AuthorizationPolicy[]][] = [
  ['deny /admin', [policy('a', { allow: [{}] }), policy('d', { deny: [{ to: [{ paths: ['/admin', '/admin/*'] }] }] })]],
  ['allow only /public', [policy('a', { allow: [{ to: [{ paths: ['/public/*'] }] }] })]],
  ['allow all but /admin', [policy('a', { allow: [{ to: [{ notPaths: ['/admin', '/admin/{**}'] }] }] })]],
  [
    'deny all but /public',
    [policy('a', { allow: [{}] }), policy('d', { deny: [{ to: [{ notPaths: ['/public/*'] }] }] })],
  ],
];

const authorizers = POLICIES.map(([name, policies]) => [name, new Authorizer(policies)] as const);

function isAllowed(authorizer: Authorizer, path: string): boolean {
  return authorizer.decide({
    caller,
    service: 'api.default',
    port: 80,
    http: { method: 'GET', path, host: 'api.mesh', fields: [] },
  }).allow;
}

describe('Path confusion', () => {
  const corpus = spellings();

  it(`no policy lets pass what a server reads as /admin: ${corpus.length} spellings, ${READERS.length} readers`, () => {
    assert.ok(corpus.length >= 200);
    let dangerous = 0;
    for (const target of corpus) {
      const readers = readersOfAdmin(target);
      if (readers.length === 0) continue;
      dangerous++;
      for (const [name, authorizer] of authorizers) {
        assert.equal(isAllowed(authorizer, target), false, `${name}: ${target} is /admin to: ${readers.join('; ')}`);
      }
    }
    printFigures('path confusion', {
      vectors: corpus.length,
      readAsAdmin: dangerous,
      policies: POLICIES.length,
      bypasses: 0,
    });
    assert.ok(dangerous >= 150, `only ${dangerous} of the spellings fool any reader`);
  });

  it('holds for 50,000 targets put together at random', (t) => {
    t.diagnostic(`seed ${SEED}`);
    const piece = fc.constantFrom(
      ...[
        '/',
        '//',
        '\\',
        '%2f',
        '%5c',
        '%252f',
        '.',
        '..',
        '%2e',
        '%252e',
        ';',
        '%3b',
        ';x=1',
        '?',
        '%3f',
        '#',
        '%23',
      ],
      ...[
        '%00',
        '%',
        '%25',
        '%zz',
        '%c0%af',
        '%ff',
        'admin',
        'Admin',
        '%61dmin',
        'public',
        '/public/',
        '/admin/',
        'x',
        'é',
      ],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const target = `/${pieces.join('')}`;
        const readers = readersOfAdmin(target);
        if (readers.length === 0) return;
        for (const [name, authorizer] of authorizers) {
          assert.equal(isAllowed(authorizer, target), false, `${name}: ${target} is /admin to: ${readers.join('; ')}`);
        }
      }),
      { seed: SEED, numRuns: effort(50_000) },
    );
  });

  it('stands in the way of no ordinary path', () => {
    const ordinary = [
      'x',
      'a/b.css',
      'caf%C3%A9',
      'a%20b',
      '.well-known/x',
      'a:b@c,d=e+f!$',
      '100%25',
      'a//b',
      'v1.2/~user',
      'a;v=1',
    ];
    for (const rest of ordinary) {
      for (const [name, authorizer] of authorizers) {
        for (const target of [`/public/${rest}`, `/public/${rest}?q=..%2f`]) {
          assert.equal(isAllowed(authorizer, target), true, `${name}: ${target}`);
        }
      }
    }
  });
});
