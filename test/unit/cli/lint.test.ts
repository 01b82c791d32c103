/** `skein lint`: every rule with what breaks it, each finding at its line. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCommand } from '../../support/command.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-lint-'));
});
after(() => rm(folder, { recursive: true }));

async function lint(files: Readonly<Record<string, string>>, ...options: readonly string[]) {
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return runCommand(['lint', ...Object.keys(files), ...options], { folder });
}

const route = (rules: string, spec = ''): string => `kind: HTTPRoute
metadata: { name: api }
spec:
  parentRefs: [{ group: '', kind: Service, name: api }]
${spec}  rules:
${rules}`;
const BACKEND = 'backendRefs: [{ name: v1, port: 80 }]';
const policy = (name: string, spec: string): string =>
  `kind: BackendTrafficPolicy\nmetadata: { name: ${name} }\nspec: { targetRefs: [{ name: api }], ${spec} }\n`;

const access = (spec: string): string =>
  `kind: AuthorizationPolicy\nmetadata: { name: a }\nspec:\n  targets: [{ service: api }]\n  ${spec}\n`;

/** What a file is warned of, or refused for: `line:column path (rule)`. */
const cases: readonly [what: string, text: string, found: readonly string[], options?: readonly string[]][] = [
  ['nothing', route(`    - ${BACKEND}\n`), []],
  ['no YAML', 'kind: A\nspec: [\n', ['3:1 : yaml']],
  [
    'a bad path',
    route(`    - matches: [{ path: { value: x } }]\n      ${BACKEND}\n`),
    ['6:27 spec.rules[0].matches[0].path.value: check'],
  ],
  ['an unknown member', route(`    - weight: 1\n      ${BACKEND}\n`), ['6:7 spec.rules[0].weight: unknown-member']],
  [
    'what is missing',
    'kind: TCPRoute\nmetadata: { name: a }\nspec:\n  rules: [{}]\n',
    ['4:11 spec.rules[0].backendRefs: strict_object'],
  ],
  ['an unknown kind', 'kind: Gateway\nmetadata: { name: a }\n', ['1:1 kind: unknown-kind']],
  [
    'one name twice',
    `${route(`    - ${BACKEND}\n`)}---\n${route(`    - ${BACKEND}\n`)}`,
    ['9:13 metadata.name: repeated'],
  ],
  [
    'no parent',
    'kind: HTTPRoute\nmetadata: { name: a }\nspec:\n  rules: [{ backendRefs: [{ name: v1, port: 80 }] }]\n',
    ['3:1 spec: no-parent'],
  ],
  [
    'a Gateway',
    'kind: HTTPRoute\nmetadata: { name: a }\nspec:\n  parentRefs:\n    - name: g\n  rules: [{ backendRefs: [{ name: v1, port: 80 }] }]\n',
    ['5:7 spec.parentRefs[0]: parent-kind'],
  ],
  [
    'a section',
    'kind: HTTPRoute\nmetadata: { name: a }\nspec:\n  parentRefs: [{ group: "", kind: Service, name: api, sectionName: http }]\n  rules: [{ backendRefs: [{ name: v1, port: 80 }] }]\n',
    ['4:55 spec.parentRefs[0].sectionName: section-name'],
  ],
  [
    'host names',
    route(`    - ${BACKEND}\n`, '  hostnames: [shop.example]\n'),
    ['5:3 spec.hostnames: hostnames-ignored'],
  ],
  ['no backend', route('    - matches: [{ path: { value: /a } }]\n'), ['6:7 spec.rules[0]: no-backend']],
  ['a redirect instead', route('    - filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }]\n'), []],
  [
    'weights of 0',
    route('    - backendRefs: [{ name: v1, port: 80, weight: 0 }, { name: v2, port: 80, weight: 0 }]\n'),
    ['6:7 spec.rules[0].backendRefs: weight-zero'],
  ],
  [
    'a bucket',
    route('    - backendRefs: [{ group: s3, kind: Bucket, name: v1 }]\n'),
    ['6:21 spec.rules[0].backendRefs[0]: backend-kind'],
  ],
  [
    'another namespace',
    route('    - backendRefs: [{ name: v1, namespace: bank, port: 80 }]\n'),
    ['6:21 spec.rules[0].backendRefs[0]: not-exported'],
  ],
  [
    'another namespace, exported',
    `${route('    - backendRefs: [{ name: v1, namespace: bank, port: 80 }]\n')}---\nkind: Export\nmetadata: { name: e, namespace: bank }\nspec: { from: [{ namespace: default }], to: [{ name: v1 }] }\n`,
    [],
  ],
  [
    'a filter that is nowhere',
    route(
      `    - filters: [{ type: ExtensionRef, extensionRef: { group: skein.dev, kind: FaultInjection, name: x } }]\n      ${BACKEND}\n`,
    ),
    ['6:39 spec.rules[0].filters[0].extensionRef: unknown-extension'],
  ],
  [
    'a filter of others',
    route(
      `    - filters: [{ type: ExtensionRef, extensionRef: { group: istio.io, kind: Wasm, name: x } }]\n      ${BACKEND}\n`,
    ),
    ['6:39 spec.rules[0].filters[0].extensionRef: extension-kind'],
  ],
  [
    'two conditions on one header',
    route(`    - matches: [{ headers: [{ name: a, value: x }, { name: A, value: y }] }]\n      ${BACKEND}\n`),
    ['6:52 spec.rules[0].matches[0].headers[1]: condition-ignored'],
  ],
  [
    'a rule twice',
    route(
      `    - matches: [{ path: { value: /a } }]\n      ${BACKEND}\n    - matches: [{ path: { value: /a } }]\n      ${BACKEND}\n`,
    ),
    ['8:7 spec.rules[1]: unreachable-rule'],
  ],
  [
    'a match twice',
    route(`    - matches: [{ path: { value: /a } }, { path: { value: /a/ } }]\n      ${BACKEND}\n`),
    ['6:42 spec.rules[0].matches[1]: shadowed-match'],
  ],
  [
    'a GRPCRoute beside it',
    `${route(`    - ${BACKEND}\n`)}---\nkind: GRPCRoute\nmetadata: { name: g }\nspec:\n  parentRefs: [{ group: '', kind: Service, name: api }]\n  rules: [{ ${BACKEND} }]\n`,
    ['4:16 spec.parentRefs[0]: conflicted'],
  ],
  [
    'two policies',
    `${policy('a', 'health: {}')}---\n${policy('b', 'health: {}')}`,
    ['7:22 spec.targetRefs[0]: conflicted'],
  ],
  [
    'two policies of one service, behind a name that no service has',
    `${policy('a', 'retryConstraint: {}')}---\n${policy('b', 'retryConstraint: {}').replace('[{ name: api }]', '[{ name: Bad_Name }, { name: api }]')}`,
    ['7:42 spec.targetRefs[1]: conflicted'],
  ],
  [
    'a policy of nothing',
    'kind: BackendTrafficPolicy\nmetadata: { name: a }\nspec: { targetRefs: [{ name: api }] }\n',
    ['3:1 spec: without-effect'],
  ],
  [
    'a group that is another',
    `apiVersion: networking.istio.io/v1\n${policy('a', 'health: {}')}`,
    ['1:1 apiVersion: api-version'],
  ],
  [
    'a service that nobody has',
    route(`    - ${BACKEND}\n`),
    ['4:16 spec.parentRefs[0]: unknown-service', '6:21 spec.rules[0].backendRefs[0]: unknown-backend'],
    ['--services', 'v2,web.shop'],
  ],
  ['services that there are', route(`    - ${BACKEND}\n`), [], ['--services', 'api,v1.default']],
  [
    'a policy for nobody',
    'kind: AuthorizationPolicy\nmetadata: { name: a }\nspec: { targets: [{ service: api }], allow: [{}] }\n',
    ['3:21 spec.targets[0].service: unknown-service'],
    ['--services', 'web'],
  ],
  [
    'a test that fails, and one that does not',
    access(
      "allow: [{ from: [{ namespaces: [default] }] }]\n  tests:\n    - { from: 'spiffe://a.b/ns/default/sa/x', request: {}, expect: allow }\n    - { from: 'spiffe://a.b/ns/shop/sa/x', request: {}, expect: allow }",
    ),
    ['8:7 spec.tests[1]: failing-test'],
  ],
  [
    'a test that fails by another policy',
    `${access("allow: [{}]\n  tests: [{ from: 'spiffe://a.b/x', request: {}, expect: allow }]")}---\nkind: AuthorizationPolicy\nmetadata: { name: guard, namespace: mesh }\nspec: { deny: [{}] }\n`,
    ['6:11 spec.tests[0]: failing-test'],
  ],
  [
    'a rule that asks for claims where nobody looks for tokens',
    access('allow: [{ from: [{ claims: { role: [admin] } }] }]'),
    ['5:11 spec.allow[0]: unread-claims'],
  ],
  [
    'a rule that asks for claims where somebody does',
    `${access('allow: [{ from: [{ claims: { role: [admin] } }] }]')}---\nkind: RequestAuthentication\nmetadata: { name: users }\nspec: { jwtRules: [{ issuer: 'https://a.b', audiences: [c] }] }\n`,
    [],
  ],
  [
    'a rule that denies connections by what requests have',
    access('deny: [{ to: [{ methods: [POST] }] }]'),
    ['5:10 spec.deny[0]: denies-bytes'],
    ['--services', 'api:5432/tcp'],
  ],
  [
    'the same where requests come as well',
    access('deny: [{ to: [{ methods: [POST] }] }]'),
    ['5:10 spec.deny[0]: denies-bytes'],
    ['--services', 'api:5432/tcp,api:80/http'],
  ],
  [
    'the same where only requests come',
    access('deny: [{ to: [{ methods: [POST] }] }]'),
    [],
    ['--services', 'api:80/http,db:5432/tcp'],
  ],
];
for (const [what, text, found, options = []] of cases) {
  test(`${what}: ${found.map((each) => each.replace(/.* /, '')).join(', ') || 'no finding'}`, async () => {
    const { out } = await lint({ 'a.yaml': text }, '-o', 'json', ...options);
    deepEqual(
      JSON.parse(out).map(
        ({ line, column, path, rule }: Record<string, unknown>) => `${line}:${column} ${path}: ${rule}`,
      ),
      found,
      out,
    );
  });
}

test('findings of all files come in the order of the files, and only errors fail, unless it is strict', async () => {
  const warned = route('    - matches: [{ path: { value: /a } }]\n');
  const files = { 'a.yaml': warned, 'b.yaml': 'kind: [\n', 'c.yaml': 'kind: HTTPRoute\nmetadata: { name: A }\n' };
  const all = await lint(files);
  equal(all.code, 1);
  match(all.out, /^b\.yaml:2:1: error: .* \(yaml\)$/m);
  match(
    all.out,
    /^a\.yaml:6:7: warning: HTTPRoute\/api: spec\.rules\[0\]: has no backendRefs: every request fails \(no-backend\)$/m,
  );
  match(all.out, /^c\.yaml:2:13: error: HTTPRoute\/A: metadata\.name: is not a DNS label \(check\)$/m);
  match(all.err, /^\d errors, 1 warning$/m);
  deepEqual((await lint({ 'a.yaml': warned })).code, 0);
  deepEqual((await lint({ 'a.yaml': warned }, '--strict')).code, 1);
  equal((await lint({ 'a.yaml': warned }, '--services', 'A B')).code, 2);
  equal((await lint({ 'a.yaml': warned }, '-f', 'missing.yaml')).code, 2);
});
