/** HTTPRoute: what is accepted, and every issue of what is not, with its path. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { type HttpRoute, parseHttpRoute } from '../../../src/catalog/http-route.ts';
import { parseManifest } from '../../../src/catalog/parse.ts';
import { RE2 } from '../../../src/catalog/re2.ts';
import { manifest } from '../../support/routes.ts';

function issuesOf(spec: unknown): string[] {
  const parsed = parseHttpRoute({ kind: 'HTTPRoute', metadata: { name: 'r', namespace: 'default' }, spec }, RE2);
  return 'value' in parsed ? [] : parsed.issues.map(({ path, message }) => `${path}: ${message}`);
}

function routeOf(spec: unknown): HttpRoute {
  const parsed = parseHttpRoute(manifest('HTTPRoute', spec), RE2);
  if ('value' in parsed) return parsed.value;
  throw new Error(JSON.stringify(parsed.issues));
}

test('a route in the words of Gateway API is accepted as it is', () => {
  const parsed = parseManifest({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'split', namespace: 'shop', labels: { team: 'a' } },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'api', port: 80 }],
      rules: [
        {
          matches: [
            { path: { type: 'Exact', value: '/v1' }, method: 'GET' },
            { headers: [{ type: 'RegularExpression', name: 'X-Version', value: 'v[12]' }] },
            { queryParams: [{ name: 'animal', value: 'whale' }] },
          ],
          backendRefs: [
            { name: 'api-v1', port: 80, weight: 90 },
            { group: '', kind: 'Service', name: 'api-v2', namespace: 'shop', port: 80, weight: 10 },
          ],
        },
      ],
    },
  });
  equal('value' in parsed, true, JSON.stringify(parsed));
});

test('what is left out has the defaults of the specification', () => {
  const everything = { path: { type: 'PathPrefix', value: '/' }, headers: [], queryParams: [] };
  for (const spec of [{}, { rules: [{}] }, { rules: [{ matches: [] }] }, { rules: [{ matches: [{}] }] }]) {
    const { rules } = routeOf(spec);
    deepEqual(
      rules.map(({ matches, backendRefs }) => [matches, backendRefs]),
      [[[everything], []]],
      JSON.stringify(spec),
    );
  }
  const [rule] = routeOf({
    rules: [{ matches: [{ path: { value: '/x' } }], backendRefs: [{ name: 'a', port: 1 }] }],
  }).rules;
  deepEqual(rule?.matches[0]?.path, { type: 'PathPrefix', value: '/x' });
  deepEqual(rule?.backendRefs, [{ group: '', kind: 'Service', name: 'a', port: 1, weight: 1, filters: [] }]);
});

const paths: readonly [value: string, issue: string | undefined][] = [
  ['/', undefined],
  ['/a/b.c/~x/', undefined],
  ["/-A_z0.~!$&'()*+,;=:@%20%c3", undefined],
  ['/.x/..y/...', undefined],
  ['', 'does not begin with "/"'],
  ['a', 'does not begin with "/"'],
  ['/a//b', 'must not contain "//"'],
  ['/a/./b', 'must not contain "/./"'],
  ['/a/../b', 'must not contain "/../"'],
  ['/a%2fb', 'must not contain "%2f"'],
  ['/a%2Fb', 'must not contain "%2F"'],
  ['/a#b', 'must not contain "#"'],
  ['/a/.', 'must not end with "/."'],
  ['/a/..', 'must not end with "/.."'],
  ['/a b', 'holds a character that no path has: write it as %XX'],
  ['/ü', 'holds a character that no path has: write it as %XX'],
  ['/%zz', 'holds a character that no path has: write it as %XX'],
  [`/${'x'.repeat(1024)}`, 'is longer than 1024 characters'],
];
for (const type of ['Exact', 'PathPrefix']) {
  test(`values of a path of type ${type}`, () => {
    for (const [value, issue] of paths) {
      const found = issuesOf({ rules: [{ matches: [{ path: { type, value } }] }] });
      deepEqual(found, issue === undefined ? [] : [`spec.rules[0].matches[0].path.value: ${issue}`], value);
    }
  });
}

const rule = (body: object): object => ({ rules: [body] });
const match = (body: object): object => rule({ matches: [body] });
const parents = (...refs: object[]): object => ({
  parentRefs: refs.map((ref) => ({ group: '', kind: 'Service', name: 'api', ...ref })),
});
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

const filters = (...list: object[]): object => rule({ filters: list, backendRefs: [{ name: 'a', port: 80 }] });
const only = (...list: object[]): object => rule({ filters: list });
const header = (value: object): object => ({ type: 'RequestHeaderModifier', requestHeaderModifier: value });
const redirect = (value: object): object => ({ type: 'RequestRedirect', requestRedirect: value });
const rewrite = (value: object): object => ({ type: 'URLRewrite', urlRewrite: value });
const mirror = (value: object): object => ({
  type: 'RequestMirror',
  requestMirror: { backendRef: { name: 'a', port: 80 }, ...value },
});
const cors = (value: object): object => ({ type: 'CORS', cors: value });
const prefix = { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/x' } };
const f0 = 'spec.rules[0].filters[0]';

function filterFaults(): [what: string, spec: unknown, paths: readonly string[]][] {
  return [
    ['an unknown type of filter', filters({ type: 'ExternalAuth', externalAuth: {} }), [`${f0}.type`]],
    ['a filter without its member', filters({ type: 'CORS' }), [`${f0}.cors`]],
    ['a filter with the member of another', filters({ ...header({}), cors: {} }), [`${f0}.cors`]],
    ['17 filters', only(...many(17, () => mirror({}))), ['spec.rules[0].filters']],
    ['a filter twice', filters(header({}), header({})), ['spec.rules[0].filters']],
    ['redirect and rewrite', only(redirect({}), rewrite({})), ['spec.rules[0].filters']],
    ['redirect and backends', filters(redirect({})), ['spec.rules[0]']],
    [
      'a field named twice',
      filters(header({ set: [{ name: 'A', value: '1' }], remove: ['a'] })),
      [`${f0}.requestHeaderModifier`],
    ],
    [
      'the identity of the caller',
      filters(header({ set: [{ name: 'X-Skein-Client-Id', value: '1' }] })),
      [`${f0}.requestHeaderModifier.set[0].name`],
    ],
    [
      'a field of the connection',
      filters(header({ remove: ['Connection'] })),
      [`${f0}.requestHeaderModifier.remove[0]`],
    ],
    [
      'framing',
      filters(header({ add: [{ name: 'content-length', value: '0' }] })),
      [`${f0}.requestHeaderModifier.add[0].name`],
    ],
    [
      'a line feed in a value',
      filters(header({ set: [{ name: 'a', value: 'x\r\ny: z' }] })),
      [`${f0}.requestHeaderModifier.set[0].value`],
    ],
    [
      'white space around a value',
      filters(header({ set: [{ name: 'a', value: ' x' }] })),
      [`${f0}.requestHeaderModifier.set[0].value`],
    ],
    [
      '17 fields',
      filters(header({ set: many(17, (i) => ({ name: `h${i}`, value: '1' })) })),
      [`${f0}.requestHeaderModifier.set`],
    ],
    [
      'a prefix replaced without a prefix match',
      { rules: [{ matches: [{ path: { type: 'Exact', value: '/' } }], filters: [rewrite(prefix)] }] },
      ['spec.rules[0]'],
    ],
    [
      'a prefix replaced with two matches',
      { rules: [{ matches: [{}, {}], filters: [redirect(prefix)] }] },
      ['spec.rules[0]'],
    ],
    [
      'a prefix replaced by a backend with two matches',
      { rules: [{ matches: [{}, {}], backendRefs: [{ name: 'a', port: 80, filters: [rewrite(prefix)] }] }] },
      ['spec.rules[0]'],
    ],
    [
      'a path that is none',
      filters(rewrite({ path: { type: 'ReplaceFullPath', replaceFullPath: 'x' } })),
      [`${f0}.urlRewrite.path.replaceFullPath`],
    ],
    ['an unknown way to replace', filters(rewrite({ path: { type: 'Regex' } })), [`${f0}.urlRewrite.path.type`]],
    ['a wildcard to rewrite to', filters(rewrite({ hostname: '*.a' })), [`${f0}.urlRewrite.hostname`]],
    ['a status that is no redirect', only(redirect({ statusCode: 200 })), [`${f0}.requestRedirect.statusCode`]],
    ['a scheme that is none', only(redirect({ scheme: 'ftp' })), [`${f0}.requestRedirect.scheme`]],
    ['percent and fraction', filters(mirror({ percent: 1, fraction: { numerator: 1 } })), [`${f0}.requestMirror`]],
    [
      'more than the whole',
      filters(mirror({ fraction: { numerator: 2, denominator: 1 } })),
      [`${f0}.requestMirror.fraction`],
    ],
    ['101 percent', filters(mirror({ percent: 101 })), [`${f0}.requestMirror.percent`]],
    ['a mirror without a port', filters(mirror({ backendRef: { name: 'a' } })), [`${f0}.requestMirror.backendRef`]],
    ['an origin without scheme', filters(cors({ allowOrigins: ['foo.com'] })), [`${f0}.cors.allowOrigins[0]`]],
    ['a star among origins', filters(cors({ allowOrigins: ['*', 'https://a'] })), [`${f0}.cors.allowOrigins`]],
    ['a star among methods', filters(cors({ allowMethods: ['*', 'GET'] })), [`${f0}.cors.allowMethods`]],
    ['an age of nothing', filters(cors({ maxAge: 0 })), [`${f0}.cors.maxAge`]],
    [
      'an attempt longer than the request',
      rule({ timeouts: { request: '1s', backendRequest: '2s' } }),
      ['spec.rules[0].timeouts'],
    ],
    ['a duration that is none', rule({ timeouts: { request: '1.5s' } }), ['spec.rules[0].timeouts.request']],
    ['a code that is no error', rule({ retry: { codes: [200] } }), ['spec.rules[0].retry.codes[0]']],
    ['no attempts', rule({ retry: { attempts: 0 } }), ['spec.rules[0].retry.attempts']],
    ['what this version cannot do', rule({ sessionPersistence: {} }), ['spec.rules[0].sessionPersistence']],
  ];
}

const faults: readonly [what: string, spec: unknown, paths: readonly string[]][] = [
  ['no object', 'rules', ['spec']],
  ['an unknown member', { rule: [] }, ['spec.rule']],
  ['a misspelt member deep down', match({ path: { typ: 'Exact' } }), ['spec.rules[0].matches[0].path.typ']],
  ['an unknown type of path', match({ path: { type: 'Glob', value: '/' } }), ['spec.rules[0].matches[0].path.type']],
  ['an unknown method', match({ method: 'BREW' }), ['spec.rules[0].matches[0].method']],
  ['a method in lower case', match({ method: 'get' }), ['spec.rules[0].matches[0].method']],
  ['no name of a field', match({ headers: [{ value: 'x' }] }), ['spec.rules[0].matches[0].headers[0].name']],
  [
    'a field that is no token',
    match({ headers: [{ name: 'a b', value: 'x' }] }),
    ['spec.rules[0].matches[0].headers[0].name'],
  ],
  ['an empty value', match({ headers: [{ name: 'a', value: '' }] }), ['spec.rules[0].matches[0].headers[0].value']],
  [
    'a long value',
    match({ headers: [{ name: 'a', value: 'x'.repeat(4097) }] }),
    ['spec.rules[0].matches[0].headers[0].value'],
  ],
  [
    'a long query value',
    match({ queryParams: [{ name: 'a', value: 'x'.repeat(1025) }] }),
    ['spec.rules[0].matches[0].queryParams[0].value'],
  ],
  [
    '17 headers',
    match({ headers: many(17, (i) => ({ name: `h${i}`, value: '1' })) }),
    ['spec.rules[0].matches[0].headers'],
  ],
  [
    '17 parameters',
    match({ queryParams: many(17, (i) => ({ name: `q${i}`, value: '1' })) }),
    ['spec.rules[0].matches[0].queryParams'],
  ],
  ['17 rules', { rules: many(17, () => ({})) }, ['spec.rules']],
  ['no rules', { rules: [] }, ['spec.rules']],
  ['65 matches', rule({ matches: many(65, () => ({})) }), ['spec.rules[0].matches']],
  ['129 matches in all', { rules: many(3, () => ({ matches: many(43, () => ({})) })) }, ['spec.rules']],
  ['two rules of one name', { rules: [{ name: 'a' }, { name: 'b' }, { name: 'a' }] }, ['spec.rules']],
  ['a rule name that is none', rule({ name: 'A b' }), ['spec.rules[0].name']],
  ['17 backends', rule({ backendRefs: many(17, () => ({ name: 'a', port: 80 })) }), ['spec.rules[0].backendRefs']],
  ['a service without port', rule({ backendRefs: [{ name: 'a' }] }), ['spec.rules[0].backendRefs[0]']],
  ['a port of 0', rule({ backendRefs: [{ name: 'a', port: 0 }] }), ['spec.rules[0].backendRefs[0].port']],
  [
    'a weight below 0',
    rule({ backendRefs: [{ name: 'a', port: 80, weight: -1 }] }),
    ['spec.rules[0].backendRefs[0].weight'],
  ],
  [
    'a weight above 1000000',
    rule({ backendRefs: [{ name: 'a', port: 80, weight: 1_000_001 }] }),
    ['spec.rules[0].backendRefs[0].weight'],
  ],
  [
    'a weight that is no integer',
    rule({ backendRefs: [{ name: 'a', port: 80, weight: 0.5 }] }),
    ['spec.rules[0].backendRefs[0].weight'],
  ],
  ['33 parents', parents(...many(33, (i) => ({ name: `s${i}` }))), ['spec.parentRefs']],
  ['a parent without name', { parentRefs: [{ group: '', kind: 'Service' }] }, ['spec.parentRefs[0].name']],
  ['one parent twice', parents({}, {}), ['spec.parentRefs', 'spec.parentRefs']],
  ['one parent, once with a port', parents({}, { port: 80 }), ['spec.parentRefs', 'spec.parentRefs']],
  ['one parent, by port and by section', parents({ port: 80 }, { sectionName: 'http' }), ['spec.parentRefs']],
  ['one parent and port twice', parents({ port: 80 }, { port: 80 }), ['spec.parentRefs']],
  ['a host name in capitals', { hostnames: ['Example.com'] }, ['spec.hostnames[0]']],
  ['a wildcard inside', { hostnames: ['a.*.com'] }, ['spec.hostnames[0]']],
  ['an address', { hostnames: ['10.0.0.1'] }, ['spec.hostnames[0]']],
  ['17 host names', { hostnames: many(17, (i) => `h${i}.example`) }, ['spec.hostnames']],
  ...filterFaults(),
  [
    'several things at once',
    { rules: [{ matches: [{ path: { value: 'x' } }, { method: 'X' }] }, { backendRefs: [{ name: '', port: 80 }] }] },
    ['spec.rules[0].matches[0].path.value', 'spec.rules[0].matches[1].method', 'spec.rules[1].backendRefs[0].name'],
  ],
];
for (const [what, spec, expected] of faults) {
  test(`${what} is refused at ${expected[0]}`, () => {
    deepEqual(
      issuesOf(spec).map((issue) => issue.slice(0, issue.indexOf(':'))),
      expected,
    );
  });
}

test('two parents, a wildcard first, and 128 matches are within the limits', () => {
  const spec = {
    ...parents({ port: 80 }, { port: 81 }, { name: 'web' }),
    hostnames: ['*.example.com', 'example.com'],
    rules: many(2, () => ({ matches: many(64, () => ({})) })),
  };
  deepEqual(issuesOf(spec), []);
});

test('every filter, timeout and retry in the words of Gateway API is accepted', () => {
  const spec = {
    ...parents({}),
    rules: [
      {
        name: 'all',
        matches: [{ path: { value: '/x' } }],
        filters: [
          header({ set: [{ name: 'A', value: '1' }], add: [{ name: 'B', value: 'ü, 2' }], remove: ['C'] }),
          { type: 'ResponseHeaderModifier', responseHeaderModifier: { remove: ['Server'] } },
          rewrite({ hostname: 'a.example', ...prefix }),
          mirror({ percent: 10 }),
          mirror({ fraction: { numerator: 1, denominator: 1000 } }),
          cors({
            allowOrigins: ['https://*.a.com:8443', 'http://b'],
            allowMethods: ['PUT'],
            allowHeaders: ['*'],
            allowCredentials: true,
          }),
          { type: 'ExtensionRef', extensionRef: { group: 'skein.dev', kind: 'Middleware', name: 'auth' } },
        ],
        backendRefs: [{ name: 'a', port: 80, filters: [header({ remove: ['d'] })] }],
        timeouts: { request: '10s', backendRequest: '2s500ms' },
        retry: { codes: [500, 503], attempts: 3, backoff: '100ms' },
      },
      {
        filters: [
          redirect({
            scheme: 'https',
            hostname: 'b',
            port: 8443,
            statusCode: 308,
            path: { type: 'ReplaceFullPath', replaceFullPath: '/' },
          }),
        ],
      },
      { timeouts: { request: '0s', backendRequest: '5s' } },
    ],
  };
  deepEqual(issuesOf(spec), []);
});

const patterns: readonly [pattern: string, issue: RegExp | undefined][] = [
  ['/v[0-9]+', undefined],
  ['(a+)+$', undefined],
  ['(a|a)*b', undefined],
  ['(', /is no regular expression of RE2/],
  ['(a)\\1', /is no regular expression of RE2/],
  ['(?=a)', /is no regular expression of RE2/],
  ['a{1001}', /is no regular expression of RE2/],
  ['((a{0,100}){0,100}){0,100}', /is no regular expression of RE2/],
  ['[a-z]{999}.{999}', /is too large/],
  ['grün', /not printable ASCII/],
];
test('regular expressions are those of RE2, and small', () => {
  for (const [value, expected] of patterns) {
    for (const condition of [
      { path: { type: 'RegularExpression', value } },
      { headers: [{ name: 'a', type: 'RegularExpression', value }] },
      { queryParams: [{ name: 'a', type: 'RegularExpression', value }] },
    ]) {
      const [issue] = issuesOf(match(condition));
      if (expected === undefined) equal(issue, undefined, value);
      else equal(expected.test(issue ?? ''), true, `${value}: ${issue}`);
    }
  }
});

test('of thousands of issues a part is listed, and how many more there are', () => {
  const issues = issuesOf({ rules: many(5000, () => ({ name: '-' })) });
  equal(issues.length, 257);
  equal(issues.at(-1), 'spec: has 4747 more issues');
});
