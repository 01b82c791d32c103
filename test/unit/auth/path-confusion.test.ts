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

const strip = (target: string): string => target.split('?', 1)[0] as string;

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
}

/** RFC 3986 §5.2.4. */
function removeDots(path: string): string {
  const out: string[] = [];
  for (const segment of path.split('/').slice(1)) {
    if (segment === '..') out.pop();
    else if (segment !== '.') out.push(segment);
  }
  return `/${out.join('/')}`;
}

const merge = (path: string): string => path.replace(/\/{2,}/g, '/');
const dropParameters = (path: string): string => path.replace(/;[^/]*/g, '');
const backslashes = (path: string): string => path.replaceAll('\\', '/');

/** How servers get from the target to the path that they route by. */
const READERS: readonly [name: string, read: (target: string) => string][] = [
  ['a router on the bytes as sent', (target) => strip(target)],
  ['a router without regard to case and last slash', (target) => strip(target).toLowerCase().replace(/\/$/, '')],
  ['new URL with a host put in front', (target) => new URL(`http://host${target}`).pathname],
  ['new URL against a base', (target) => new URL(target, 'http://host').pathname],
  ['decode, then route', (target) => decode(strip(target))],
  ['decode, then split off the query', (target) => strip(decode(target))],
  ['decode, merge slashes, remove dots (nginx)', (target) => removeDots(merge(decode(strip(target))))],
  ['decode, remove dots, keep slashes', (target) => removeDots(decode(strip(target)))],
  ['remove dots, merge slashes', (target) => merge(removeDots(strip(target)))],
  ['merge slashes, remove dots (path.Clean)', (target) => removeDots(merge(strip(target)))],
  [
    'drop parameters, decode, remove dots (servlets)',
    (target) => removeDots(merge(decode(dropParameters(strip(target))))),
  ],
  ['decode, drop parameters, remove dots', (target) => removeDots(merge(dropParameters(decode(strip(target)))))],
  ['decode twice, merge, remove dots', (target) => removeDots(merge(decode(decode(strip(target)))))],
  ['backslashes are slashes', (target) => removeDots(merge(backslashes(decode(strip(target)))))],
  ['a NUL ends the path', (target) => decode(strip(target)).split('\0', 1)[0] as string],
];

function isAdmin(path: string): boolean {
  return path === '/admin' || path.startsWith('/admin/');
}

function readersOfAdmin(target: string): string[] {
  return READERS.filter(([, read]) => {
    try {
      return isAdmin(read(target));
    } catch {
      return false; // such a server answers 400
    }
  }).map(([name]) => name);
}

const authorizers = POLICIES.map(([name, policies]) => [name, new Authorizer(policies)] as const);

function isAllowed(authorizer: Authorizer, path: string): boolean {
  return authorizer.decide({
    caller,
    service: 'api.default',
    port: 80,
    http: { method: 'GET', path, host: 'api.mesh', fields: [] },
  }).allow;
}

/** Spellings of `to` behind or instead of `from`: `/public/x` that some server takes for `/admin/x`. */
function spellings(): string[] {
  const up = [
    '..',
    '%2e%2e',
    '.%2e',
    '%2E.',
    '..;',
    '..;x=1',
    '%252e%252e',
    '..%00',
    '%c0%ae%c0%ae',
    '..%3b',
    '.%252e',
  ];
  const slash = ['/', '//', '%2f', '%2F', '%252f', '\\', '%5c', '%255c', '/./', '/.;/', '/%2e/', '/;/', '/;a=b/'];
  const out: string[] = [];
  for (const dots of up) for (const at of slash) out.push(`/public${at}${dots}${at}admin/x`);
  const admins = [
    'admin',
    '%61dmin',
    'adm%69n',
    '%2561dmin',
    'Admin',
    'ADMIN',
    'admin;x',
    'admin%3bx',
    'admin%00',
    'admin%23',
  ];
  for (const admin of admins) {
    out.push(`/${admin}`, `/${admin}/`, `/${admin}/x`, `//${admin}/x`, `/./${admin}/x`, `/${admin}?x=/public/`);
    out.push(`//host/${admin}/x`, `/public//../${admin}`, `/\\host/${admin}`, `/${admin}%2fx`, `/${admin}%3fx`);
  }
  return out;
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
      { seed: SEED, numRuns: 50_000 },
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
