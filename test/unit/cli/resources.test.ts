/** `skein apply` and `skein get` against a hub: what changed, who was first, and the way back. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { createAdministrator } from '../../support/administrator.ts';

const route = (name: string, weight: number): string => `kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: '', kind: Service, name: api }]
  rules: [{ backendRefs: [{ name: api, port: 80, weight: ${weight} }] }]
`;

test('skein apply says what became of each resource, and --rollback undoes the last change', async (t) => {
  const { run, write } = await createAdministrator(t);
  await write('a.yaml', `${route('one', 1)}---\n${route('two', 1)}`);
  await write('b.yaml', `${route('one', 2)}---\n${route('two', 1)}`);
  deepEqual(await run('apply', '-f', 'a.yaml', '--dry-run'), {
    code: 0,
    out: 'HTTPRoute/one in default: created (dry run)\nHTTPRoute/two in default: created (dry run)\n',
    err: '',
  });
  deepEqual(await run('apply', '-f', 'a.yaml'), {
    code: 0,
    out: 'HTTPRoute/one in default: created\nHTTPRoute/two in default: created\n',
    err: 'Revision 2; `skein apply --rollback` undoes it.\n',
  });
  equal((await run('apply', 'b.yaml')).out, 'HTTPRoute/one in default: changed\nHTTPRoute/two in default: unchanged\n');
  equal((await run('apply', '--rollback', '--dry-run')).out, 'HTTPRoute/one in default: changed (dry run)\n');
  equal((await run('apply', '--rollback')).out, 'HTTPRoute/one in default: changed\n');
  match((await run('get', 'HTTPRoute/one')).out, /weight: 1/);
  equal(
    (await run('apply', '--to', '1')).out,
    'HTTPRoute/one in default: deleted\nHTTPRoute/two in default: deleted\n',
  );
  const refused = await run('apply', '--to', '99');
  equal(refused.code, 1);
  match(refused.err, /Cannot go back to revision 99: 0 to 5 can be gone back to/);
});

test('skein delete takes away all that it names in one revision, or nothing', async (t) => {
  const { run, write } = await createAdministrator(t);
  await write('a.yaml', `${route('one', 1)}---\n${route('two', 1)}`);
  await run('apply', '-f', 'a.yaml');
  const missing = await run('delete', 'HTTPRoute/one', 'HTTPRoute/three');
  equal(missing.code, 1);
  match(missing.err, /^error: Cannot find HTTPRoute\/three in namespace "default" \(SKEIN_RESOURCE_INVALID\)$/m);
  match((await run('get', 'routes')).out, /one .*\n.* two /);
  deepEqual(await run('delete', '-f', 'a.yaml', 'HTTPRoute/one'), {
    code: 0,
    out: 'HTTPRoute/one in default: deleted\nHTTPRoute/two in default: deleted\n',
    err: 'Revision 3; `skein apply --rollback` undoes it.\n',
  });
  match(
    (await run('apply', '--rollback')).out,
    /^HTTPRoute\/one in default: created\nHTTPRoute\/two in default: created\n$/,
  );
});

test('skein get --revisions lists what has changed the mesh, or one resource', async (t) => {
  const { run, write } = await createAdministrator(t);
  for (const weight of [1, 2]) {
    await write('a.yaml', route('one', weight));
    await run('apply', '-f', 'a.yaml');
  }
  await run('apply', '--rollback');
  const { out } = await run('get', '--revisions');
  deepEqual(
    out.split('\n').map((line) => line.replace(/\d{4}-\S+Z/, 'TIME').replaceAll(/ +/g, ' ')),
    [
      'REVISION AT ACTION CHANGES',
      '1 TIME apply AuthorizationPolicy/allow-same-namespace in default created',
      '2 TIME apply HTTPRoute/one in default created',
      '3 TIME apply HTTPRoute/one in default changed',
      '4 TIME rollback to 2 HTTPRoute/one in default changed',
      '',
    ],
  );
  const revisions = JSON.parse((await run('get', 'routes', '--revisions', '-o', 'json')).out);
  deepEqual(
    revisions.map(({ revision }: { revision: number }) => revision),
    [2, 3, 4],
  );
  equal((await run('get', 'HTTPRoute/other', '--revisions', '-o', 'yaml')).out, '[]\n');
});

test('A file that skein get printed replaces what it showed, and nothing that came after it', async (t) => {
  const { run, write } = await createAdministrator(t);
  await write('a.yaml', route('one', 1));
  await run('apply', '-f', 'a.yaml');
  const { out } = await run('get', 'HTTPRoute/one', '-o', 'yaml');
  match(out, /resourceVersion: "2"/);
  await write('mine.yaml', out.replace('weight: 1', 'weight: 2'));
  await write('theirs.yaml', out.replace('weight: 1', 'weight: 3'));
  equal((await run('apply', '-f', 'theirs.yaml')).code, 0);
  const late = await run('apply', '-f', 'mine.yaml');
  equal(late.code, 1);
  match(late.err, /Cannot apply HTTPRoute\/default\/one: it has changed since version 2 \(SKEIN_CONFLICT\)/);
  match(late.err, /remedy: Read it again/);
  match((await run('get', 'HTTPRoute/one')).out, /weight: 3/);
  equal((await run('apply', '-f', 'a.yaml', '--if-revision', '2')).code, 1);
  equal((await run('apply', '-f', 'a.yaml', '--if-revision', '3')).code, 0);
});

test('skein get shows the status of each resource in a word, and the conditions with -o yaml', async (t) => {
  const { run, write } = await createAdministrator(t);
  await write('a.yaml', route('one', 1));
  await run('apply', '-f', 'a.yaml');
  const { out } = await run('get');
  deepEqual(
    out.split('\n').map((line) => line.replaceAll(/ +/g, ' ')),
    [
      'KIND NAMESPACE NAME STATUS',
      'AuthorizationPolicy default allow-same-namespace Accepted',
      'HTTPRoute default one NoMatchingParent, BackendNotFound',
      '',
    ],
  );
  const yaml = (await run('get', 'HTTPRoute/one')).out;
  match(yaml, /^status:\n {2}parents:\n {4}- parentRef:/m);
  match(yaml, /reason: NoMatchingParent\n {10}message: nobody serves api\.default\n/);
  await write('again.yaml', yaml);
  equal((await run('apply', '-f', 'again.yaml')).out, 'HTTPRoute/one in default: unchanged\n');
});

test('skein diff tells what applying a file would change, by what it means, with its exit code', async (t) => {
  const { run, write } = await createAdministrator(t);
  await write('a.yaml', route('one', 90));
  const fresh = await run('diff', '-f', 'a.yaml');
  deepEqual([fresh.code, fresh.out], [1, 'HTTPRoute/one in default: not in the mesh\n']);
  await run('apply', '-f', 'a.yaml');
  deepEqual(await run('diff', '-f', 'a.yaml'), { code: 0, out: '', err: '' });
  const words = `# the same in other words
metadata: { namespace: default, name: one }
spec:
  rules:
    - matches: [{ path: { type: PathPrefix, value: / } }]
      backendRefs: [{ weight: 90, port: 80, kind: Service, name: api }]
  parentRefs: [{ kind: Service, group: '', name: api }]
kind: HTTPRoute
`;
  await write('words.yaml', words);
  deepEqual(await run('diff', 'words.yaml'), { code: 0, out: '', err: '' });
  await write(
    'b.yaml',
    words.replace('weight: 90', 'weight: 80').replace('name: one', 'name: one, labels: { team: shop }'),
  );
  const changed = await run('diff', 'b.yaml');
  deepEqual(
    [changed.code, changed.out],
    [
      1,
      'HTTPRoute/one in default:\n' +
        '  metadata.labels: nothing → {"team":"shop"}\n' +
        '  spec.rules[0].backendRefs[0].weight: 90 → 80\n',
    ],
  );
  const [json] = JSON.parse((await run('diff', 'b.yaml', '-o', 'json')).out);
  deepEqual([json.key, json.status, json.differences.length], ['HTTPRoute/default/one', 'differs', 2]);
  const shown = await run('get', 'HTTPRoute/one', '-o', 'yaml');
  await write('shown.yaml', shown.out);
  equal((await run('diff', 'shown.yaml')).code, 0, 'what get prints is what there is');
});

test('skein diff of what would be refused is no difference but a mistake, each with its line', async (t) => {
  const { run, write } = await createAdministrator(t);
  await write('a.yaml', `${route('one', 1)}---\n${route('two', -1)}`);
  const { code, err } = await run('diff', 'a.yaml');
  equal(code, 2);
  match(err, /a\.yaml:11: HTTPRoute\/two: spec\.rules\[0\]\.backendRefs\[0\]\.weight: /);
  await write('b.yaml', route('one', 2));
  await write('c.yaml', route('one', 3));
  const twice = await run('diff', 'b.yaml', 'c.yaml');
  deepEqual([twice.code, twice.out], [2, '']);
  match(twice.err, /c\.yaml:2: HTTPRoute\/one: metadata\.name: is in b\.yaml as well/);
});
