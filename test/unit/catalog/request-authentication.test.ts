/** RequestAuthentication: all of it is understood, or none; each limit and each rule of its parser is crossed once. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  jwtRulesOf,
  parseRequestAuthentication,
  type RequestAuthentication,
} from '../../../src/catalog/request-authentication.ts';

const EC = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'a' };
const RULE = { issuer: 'https://issuer.example.com', audiences: ['api'] };

function parse(spec: unknown, namespace = 'default') {
  return parseRequestAuthentication({ kind: 'RequestAuthentication', metadata: { name: 'users', namespace }, spec });
}

function issuesOf(spec: unknown): string[] {
  const parsed = parse(spec);
  return 'issues' in parsed ? parsed.issues.map(({ path, message }) => `${path}: ${message}`) : [];
}

const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

const GOOD: readonly [what: string, rule: object][] = [
  ['an issuer that tells its keys', RULE],
  ['an issuer on this machine', { ...RULE, issuer: 'http://127.0.0.1:8080/realms/a' }],
  ['an issuer that is no URL, with the place of its keys', { ...RULE, issuer: 'me@x', jwksUri: 'https://x/keys' }],
  ['an issuer with its keys', { ...RULE, issuer: 'me', jwks: { keys: [EC] } }],
  ['keys as text, as Istio has them', { ...RULE, jwks: JSON.stringify({ keys: [EC] }) }],
  ['a trust domain', { trustDomain: 'other.example', audiences: ['api'] }],
  ['algorithms', { ...RULE, algorithms: ['ES256', 'RS256'] }],
  ['a field of its own', { ...RULE, fromHeaders: [{ name: 'x-jwt-assertion' }, { name: 'a', prefix: 'JWT ' }] }],
  ['claims in fields', { ...RULE, outputClaimToHeaders: [{ header: 'x-user', claim: 'realm.sub' }] }],
  ['the token for the application', { ...RULE, forwardOriginalToken: true }],
];

for (const [what, rule] of GOOD) {
  test(`RequestAuthentication takes ${what}`, () => deepEqual(issuesOf({ jwtRules: [rule] }), []));
}

const BAD: readonly [what: string, spec: unknown, path: string][] = [
  ['nothing', undefined, 'spec'],
  ['no rules', {}, 'spec.jwtRules'],
  ['an empty list of rules', { jwtRules: [] }, 'spec.jwtRules'],
  ['more than 16 rules', { jwtRules: many(17, () => RULE) }, 'spec.jwtRules'],
  ['what it does not know', { jwtRules: [RULE], selector: {} }, 'spec.selector'],
  ['a rule with what it does not know', { jwtRules: [{ ...RULE, fromParams: ['t'] }] }, 'spec.jwtRules[0].fromParams'],
  ['no issuer', { jwtRules: [{ audiences: ['a'] }] }, 'spec.jwtRules[0]'],
  ['an issuer and a trust domain', { jwtRules: [{ ...RULE, trustDomain: 'a.b' }] }, 'spec.jwtRules[0]'],
  [
    'a trust domain in capitals',
    { jwtRules: [{ trustDomain: 'A', audiences: ['a'] }] },
    'spec.jwtRules[0].trustDomain',
  ],
  [
    'keys of a trust domain',
    { jwtRules: [{ trustDomain: 'a', audiences: ['a'], jwks: { keys: [EC] } }] },
    'spec.jwtRules[0]',
  ],
  ['no audience', { jwtRules: [{ issuer: 'https://a' }] }, 'spec.jwtRules[0].audiences'],
  ['an empty list of audiences', { jwtRules: [{ ...RULE, audiences: [] }] }, 'spec.jwtRules[0].audiences'],
  ['more than 16 audiences', { jwtRules: [{ ...RULE, audiences: many(17, String) }] }, 'spec.jwtRules[0].audiences'],
  ['an issuer that cannot be asked', { jwtRules: [{ ...RULE, issuer: 'me' }] }, 'spec.jwtRules[0]'],
  ['an issuer without TLS', { jwtRules: [{ ...RULE, issuer: 'http://a.b' }] }, 'spec.jwtRules[0]'],
  ['keys without TLS', { jwtRules: [{ ...RULE, jwksUri: 'http://a.b/' }] }, 'spec.jwtRules[0].jwksUri'],
  ['a password in a URL', { jwtRules: [{ ...RULE, jwksUri: 'https://a:b@c/' }] }, 'spec.jwtRules[0].jwksUri'],
  ['keys twice', { jwtRules: [{ ...RULE, jwksUri: 'https://a/', jwks: { keys: [EC] } }] }, 'spec.jwtRules[0]'],
  ['keys that are none', { jwtRules: [{ ...RULE, jwks: '{' }] }, 'spec.jwtRules[0].jwks'],
  ['no keys', { jwtRules: [{ ...RULE, jwks: { keys: [] } }] }, 'spec.jwtRules[0].jwks'],
  [
    'more than 100 keys',
    { jwtRules: [{ ...RULE, jwks: { keys: many(101, (i) => ({ ...EC, kid: `${i}` })) } }] },
    'spec.jwtRules[0].jwks',
  ],
  [
    'a key without kid',
    { jwtRules: [{ ...RULE, jwks: { keys: [{ ...EC, kid: undefined }] } }] },
    'spec.jwtRules[0].jwks',
  ],
  ['one kid for two', { jwtRules: [{ ...RULE, jwks: { keys: [EC, EC] } }] }, 'spec.jwtRules[0].jwks'],
  ['a private key', { jwtRules: [{ ...RULE, jwks: { keys: [{ ...EC, d: 'secret' }] } }] }, 'spec.jwtRules[0].jwks'],
  ['a shared key', { jwtRules: [{ ...RULE, jwks: { keys: [{ kty: 'oct', kid: 'a' }] } }] }, 'spec.jwtRules[0].jwks'],
  ['HMAC', { jwtRules: [{ ...RULE, algorithms: ['HS256'] }] }, 'spec.jwtRules[0].algorithms[0]'],
  ['EdDSA', { jwtRules: [{ ...RULE, algorithms: ['EdDSA'] }] }, 'spec.jwtRules[0].algorithms[0]'],
  [
    'a token where the mesh writes',
    { jwtRules: [{ ...RULE, fromHeaders: [{ name: 'x-skein-client-id' }] }] },
    'spec.jwtRules[0].fromHeaders[0].name',
  ],
  [
    'a token in Host',
    { jwtRules: [{ ...RULE, fromHeaders: [{ name: 'host' }] }] },
    'spec.jwtRules[0].fromHeaders[0].name',
  ],
  [
    'more than 8 places',
    { jwtRules: [{ ...RULE, fromHeaders: many(9, (i) => ({ name: `x-${i}` })) }] },
    'spec.jwtRules[0].fromHeaders',
  ],
  [
    'a claim where the mesh writes',
    { jwtRules: [{ ...RULE, outputClaimToHeaders: [{ header: 'x-forwarded-for', claim: 'a' }] }] },
    'spec.jwtRules[0].outputClaimToHeaders[0].header',
  ],
  [
    'a claim in Authorization',
    { jwtRules: [{ ...RULE, outputClaimToHeaders: [{ header: 'authorization', claim: 'a' }] }] },
    'spec.jwtRules[0].outputClaimToHeaders[0].header',
  ],
  [
    'two claims in one field',
    {
      jwtRules: [
        {
          ...RULE,
          outputClaimToHeaders: [
            { header: 'x-a', claim: 'a' },
            { header: 'x_a', claim: 'b' },
          ],
        },
      ],
    },
    'spec.jwtRules[0].outputClaimToHeaders',
  ],
  [
    'more than 16 claims',
    { jwtRules: [{ ...RULE, outputClaimToHeaders: many(17, (i) => ({ header: `x-${i}`, claim: 'a' })) }] },
    'spec.jwtRules[0].outputClaimToHeaders',
  ],
  [
    'a target that is no service',
    { jwtRules: [RULE], targetRefs: [{ kind: 'Gateway', name: 'a' }] },
    'spec.targetRefs[0].kind',
  ],
  ['an empty list of targets', { jwtRules: [RULE], targetRefs: [] }, 'spec.targetRefs'],
  ['more than 16 targets', { jwtRules: [RULE], targetRefs: many(17, (i) => ({ name: `a${i}` })) }, 'spec.targetRefs'],
  ['a target twice', { jwtRules: [RULE], targetRefs: [{ name: 'a' }, { name: 'a' }] }, 'spec.targetRefs'],
];

for (const [what, spec, path] of BAD) {
  test(`RequestAuthentication refuses ${what}`, () => {
    const [issue = ''] = issuesOf(spec);
    equal(issue.split(': ')[0], path, issue);
  });
}

test('Rules are for the services of their namespace or of the mesh, for those that are named, or for all', () => {
  const read = (namespace: string, name: string, targets?: readonly string[]): RequestAuthentication => {
    const targetRefs = targets?.map((each) => ({ name: each }));
    const parsed = parse({ jwtRules: [{ ...RULE, issuer: `https://${name}` }], targetRefs }, namespace);
    ok('value' in parsed);
    return parsed.value;
  };
  const all = [
    read('shop', 'a'),
    read('shop', 'b', ['api']),
    read('mesh', 'c'),
    read('mesh', 'd', ['api']),
    read('pay', 'e'),
  ];
  const of = (service: string): string[] => jwtRulesOf(all, service).map(({ issuer = '' }) => issuer.slice(8));
  deepEqual(of('api.shop'), ['a', 'b', 'c', 'd']);
  deepEqual(of('web.shop'), ['a', 'c']);
  deepEqual(of('api.other'), ['c', 'd']);
  deepEqual(of('db.pay'), ['c', 'e']);
});
