/** The audit log: what was issued is in it before anybody has it; who alters, drops, moves, adds or cuts an entry is found out. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { AuditChain, type AuditEntry, type ChainedEntry, NO_AUDIT, signHead } from '../../../src/auth/audit-chain.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { type Claims, type StatementType, signStatement } from '../../../src/auth/statement.ts';
import { readAuditLog } from '../../../src/cli/audit-log.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { AuditLog, type AuditLogOptions } from '../../../src/hub/audit-log.ts';
import type { Hub } from '../../../src/hub/hub.ts';
import { FileStore } from '../../../src/hub/store/file.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import type { Store, StoreEntry } from '../../../src/hub/store.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { printFigures } from '../../support/figures.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const PREFIX = 'audit/';
const API = 'spiffe://skein.mesh/ns/default/sa/api';

/** As the command reads it. */
function check(mesh: VirtualMesh, hub: Hub = mesh.hub, expected?: string) {
  const get = async (path: string): Promise<unknown> => {
    const headers = { authorization: `Bearer ${hub.adminToken.reveal()}` };
    return (await mesh.network.request(new Request(`http://${hub.address}${path}`, { headers }))).json();
  };
  const admin = { get } as Parameters<typeof readAuditLog>[0];
  return mesh.run(readAuditLog(admin, mesh.platform.crypto.sha256, expected));
}

/** A mesh of which some things were issued, one after the other, so that each is a block of its own. */
async function startMesh(t: TestContext, store: Store = new MemoryStore()) {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ store, limits: { auditPushMs: 1_000 } });
  const { agent, log } = await mesh.join(['api']);
  for (const name of ['web', 'ads']) await mesh.join([name]);
  await mesh.admin('revocations', { body: { id: 'spiffe://skein.mesh/ns/default/sa/old' } });
  await mesh.until(() => agent.audit.head !== undefined);
  await mesh.clock.advanceAsync(2_000);
  return { mesh, store, agent, log };
}

async function blocks(store: Store): Promise<readonly StoreEntry[]> {
  return store.list(PREFIX);
}

async function put(store: Store, key: string, value: string): Promise<void> {
  const before = await store.get(key);
  ok(await store.compareAndSet(key, before?.revision ?? 0, value));
}

test('Everything that is issued and changed is in the log, bound to all before it, and signed', async (t) => {
  const { mesh, agent } = await startMesh(t);
  const { entries, head, broken } = await check(mesh);
  equal(broken, undefined);
  deepEqual(
    entries
      .filter(({ kind }) => kind !== 'keys' && kind !== 'stretch')
      .map(({ kind, id, by }) => [kind, id.split('/').at(-1), by]),
    [
      ['hub', 'hub', 'issuer'],
      ['join', 'api', 'join-token'],
      ['join', 'web', 'join-token'],
      ['join', 'ads', 'join-token'],
      ['admin', 'old', 'admin-token'],
    ].toSpliced(0, 1, ...entries.filter(({ kind }) => kind === 'hub').map(() => ['hub', 'hub', 'issuer'])),
  );
  equal(entries.find(({ id }) => id === API)?.key, agent.identity.thumbprint);
  deepEqual(agent.audit.head, head, 'members follow it');
  equal((await check(mesh, mesh.hub, entries[2]?.hash)).broken, undefined);
  ok((await check(mesh, mesh.hub, 'never')).broken?.includes('is not in it'));
});

type Tamper = (store: Store) => Promise<void>;

/** What somebody who may write to the store makes of the log, and what is said of it. */
const TAMPERS: Readonly<Record<string, { readonly how: Tamper; readonly says: RegExp }>> = {
  edit: {
    says: /^entry \d+ is not the one that was written$/,
    async how(store) {
      const { key, value } = (await blocks(store)).at(-3) as StoreEntry;
      await put(store, key, value.replace('sa/', 'sa/x'));
    },
  },
  drop: {
    says: /^entry \d+ is not the one that was written$/,
    async how(store) {
      const { key, revision } = (await blocks(store)).at(-3) as StoreEntry;
      ok(await store.delete(key, revision));
    },
  },
  reorder: {
    says: /^entry \d+ is not the one that was written$/,
    async how(store) {
      const [a, b] = (await blocks(store)).slice(-3, -1) as [StoreEntry, StoreEntry];
      await put(store, a.key, b.value);
      await put(store, b.key, a.value);
    },
  },
  unreadable: {
    says: /^entry \d+ is not the one that was written$/,
    how: async (store) => put(store, ((await blocks(store)).at(-2) as StoreEntry).key, 'nothing'),
  },
  truncate: {
    says: /^it ends with entry \d+, and the issuer has signed \d+ entries$/,
    async how(store) {
      const { key, revision } = (await blocks(store)).at(-1) as StoreEntry;
      ok(await store.delete(key, revision));
    },
  },
  'rewrite with good hashes': {
    says: /^it ends with entry \d+, and the issuer has signed/,
    async how(store) {
      const sha256 = new VirtualMesh({ after: () => undefined, diagnostic: () => undefined }).platform.crypto.sha256;
      const chain = new AuditChain(sha256, NO_AUDIT);
      for (const { key, value } of await blocks(store)) {
        const block = JSON.parse(value) as { entries: AuditEntry[]; head: string };
        const entries = block.entries.map(({ seq: _seq, ...entry }) =>
          entry.kind === 'stretch' ? chain.end(entry.atMs) : chain.add({ ...entry, by: 'nobody' }),
        );
        await put(store, key, JSON.stringify({ entries, head: block.head }));
      }
    },
  },
};

for (const [name, { how, says }] of Object.entries(TAMPERS)) {
  test(`A log that somebody has tampered with in the store (${name}) is told of, with the first bad entry`, async (t) => {
    const { mesh, store } = await startMesh(t);
    await how(store);
    const { broken = '' } = await check(mesh);
    ok(says.test(broken), broken);
  });
}

test('Who adds an entry to the store has no word of the issuer for it: the hub does not go on from it', async (t) => {
  const { mesh, store } = await startMesh(t);
  const { head } = await check(mesh);
  const { sha256 } = mesh.platform.crypto;
  const forged = new AuditChain(sha256, head);
  const entry = forged.add({ atMs: 1, kind: 'join', id: API, by: 'join-token' });
  const key = await mesh.run(createIdentityKey());
  const sign = (type: StatementType, claims: Claims) => signStatement(key, type, claims);
  const signed = await mesh.run(signHead(forged.head, 1, false, sign));
  await put(
    store,
    `${PREFIX}${String(entry.seq).padStart(12, '0')}`,
    JSON.stringify({ entries: [entry], head: signed }),
  );
  ok((await check(mesh)).broken !== undefined);
  ok(mesh.log.of('audit-broken').length > 0);
  // Nothing is issued that cannot be logged.
  const { agent } = await mesh.createAgent({ token: await mesh.token('late') });
  await rejects(mesh.run(agent.start()), { code: 'SKEIN_STORE' }).catch(() => equal(agent.identity.isMember, false));
});

test('An SVID under the own identity that went to another key is told of; one of a replica is not', async (t) => {
  const { mesh, agent, log } = await startMesh(t);
  const serving = { protocol: 'http', handler: new RecordingHandler((request) => request.answer(200, 'ok')) } as const;
  const replica = await mesh.join(['api']);
  await mesh.serve(replica.agent, 'api.default', serving);
  await mesh.serve(agent, 'api.default', serving);
  await mesh.clock.advanceAsync(120_000);
  equal(agent.audit.issuedElsewhere, 0);
  equal(log.of('identity-issued-to-replica').length, 1);
  replica.agent.close();
  await mesh.clock.advanceAsync(60_000);
  // Somebody has made a token for this name, and shows nothing of itself.
  const thief = await mesh.join(['api']);
  await mesh.clock.advanceAsync(90_000);
  equal(agent.audit.issuedElsewhere, 1);
  const [told] = log.of('identity-issued-elsewhere');
  equal(told?.fields.key, thief.agent.identity.thumbprint);
  deepEqual(
    (await mesh.run(agent.audit.mine())).map(({ kind, key }) => [kind, key]),
    [agent, replica.agent, thief.agent].map(({ identity }: Agent) => ['join', identity.thumbprint]),
  );
});

test('The log is as long as it may be: the oldest go, and the issuer has signed where the rest begins', async (t) => {
  const store = new MemoryStore();
  const mesh = new VirtualMesh(t);
  const maxAuditBytes = 20_000;
  await mesh.startHub({ store, limits: { maxAuditBytes, auditPushMs: 1_000, svidsPerLifetime: 1_000_000 } });
  const { agent } = await mesh.join(['api'], { limits: { renewAfterMs: 30_000 } });
  await mesh.clock.advanceAsync(3_600_000);
  const kept = (await blocks(store)).reduce((bytes, { value }) => bytes + value.length, 0);
  ok(kept <= maxAuditBytes);
  const { base, head, broken } = await check(mesh);
  equal(broken, undefined);
  ok(base.seq > 0 && head.seq > base.seq);
  await mesh.clock.advanceAsync(5_000);
  equal(agent.audit.alarm, undefined);
  ok((await mesh.run(agent.audit.mine())).length > 0);
  printFigures('audit log', {
    entries: head.seq - base.seq,
    bytes: kept,
    bytesEach: Math.round(kept / (head.seq - base.seq)),
  });
});

test('Hubs that share a store write one chain', async (t) => {
  const mesh = new VirtualMesh(t);
  const a = await mesh.startShared(7000);
  const b = await mesh.startShared(7001);
  const tokens = await Promise.all(Array.from({ length: 12 }, () => mesh.token('api')));
  const agents = await Promise.all(
    tokens.map((token, i) => mesh.createAgent({ token, hub: (i % 2 === 0 ? a : b).url })),
  );
  await mesh.run(Promise.all(agents.map(({ agent }) => agent.start())));
  for (const hub of [a, b]) {
    const { entries, broken } = await check(mesh, hub);
    equal(broken, undefined);
    equal(entries.filter(({ kind }) => kind === 'join').length, 12);
  }
});

test('A chain that is followed goes on with the next entry of it, and with no other', () => {
  const { sha256 } = new VirtualMesh({ after: () => undefined, diagnostic: () => undefined }).platform.crypto;
  const written = new AuditChain(sha256, NO_AUDIT);
  const renew = () => written.add({ atMs: 1, kind: 'renew', id: API, key: 'k', by: 'svid' });
  const entries = [renew(), renew(), written.end(2), renew(), renew(), written.end(3)];
  const [first, , third] = entries as [ChainedEntry, ChainedEntry, ChainedEntry];
  /** How many are taken. */
  const follow = (all: readonly ChainedEntry[]): number => {
    const chain = new AuditChain(sha256, NO_AUDIT);
    const bad = all.findIndex((entry) => !chain.take(entry));
    // One that is refused changes nothing.
    if (bad >= 0) ok(all[bad] === entries[bad] || chain.take(entries[bad] as ChainedEntry), `${bad}`);
    return bad < 0 ? all.length : bad;
  };
  equal(follow(entries), 6);
  equal(follow(entries.with(1, { ...first, seq: 2 })), 1);
  equal(follow(entries.with(1, { ...(entries[1] as ChainedEntry), key: 'x' })), 1);
  equal(follow(entries.with(1, { ...(entries[1] as ChainedEntry), root: third.root })), 1);
  for (const other of [{ root: first.hash }, { atMs: 9 }, { id: API }, { by: 'nobody' }, { what: 'x' }, { key: 'k' }]) {
    equal(follow(entries.with(2, { ...third, ...other })), 2, JSON.stringify(other));
  }
  equal(follow(entries.toSpliced(3, 1)), 3);
  equal(new AuditChain(sha256, NO_AUDIT).take({ ...third, seq: 1 }), false, 'a stretch without entries');
});

function createLog(store: Store, authority: Authority, more: Partial<AuditLogOptions> = {}): AuditLog {
  const { clock, crypto } = nodePlatform();
  return new AuditLog({
    ...{ store, clock, log: SILENT_LOGGER, sha256: crypto.sha256, maxBytes: 1e9 },
    bundle: () => authority.bundle(),
    sign: (type, claims) => authority.sign(type, claims),
    ...more,
  });
}

test('An entry costs a write to the disk where it comes alone, and a part of one where many come together', async (t) => {
  const { clock, files } = nodePlatform();
  ok(files !== undefined);
  const store = await FileStore.open(join(folder(t), 'store.log'), { files, log: SILENT_LOGGER });
  t.after(() => store.close());
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const audit = createLog(store, authority);
  await audit.open();
  const entry = { kind: 'renew', id: API, key: 'k'.repeat(43), by: 'svid' } as const;
  const measure = async (count: number, atOnce: number) => {
    const [fromMs, bytes] = [clock.monotonicMs(), audit.bytes];
    for (let i = 0; i < count; i += atOnce) {
      await Promise.all(Array.from({ length: atOnce }, () => audit.append(entry)));
    }
    const ms = (clock.monotonicMs() - fromMs) / count;
    return { atOnce, msEach: Number(ms.toFixed(3)), bytesEach: Math.round((audit.bytes - bytes) / count) };
  };
  for (const [count, atOnce] of [
    [100, 1],
    [1_000, 100],
  ] as const) {
    printFigures('audit append', await measure(count, atOnce));
  }
  const again = createLog(store, authority);
  const fromMs = clock.monotonicMs();
  await again.open();
  printFigures('audit open', { entries: again.head.seq, ms: Math.round(clock.monotonicMs() - fromMs) });
  deepEqual(again.head, audit.head);
});

test('A start on a long log costs one signature, however many blocks there are', async () => {
  const { clock } = nodePlatform();
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const store = new MemoryStore();
  const audit = createLog(store, authority);
  await audit.open();
  const entry = { kind: 'renew', id: API, key: 'k'.repeat(43), by: 'svid' } as const;
  for (let i = 0; i < 100_000; i += 50) await Promise.all(Array.from({ length: 50 }, () => audit.append(entry)));
  let verified = 0;
  const counting = {
    bundle: () => {
      verified++;
      return authority.bundle();
    },
  };
  const again = createLog(store, authority, counting);
  const fromMs = clock.monotonicMs();
  await again.open();
  printFigures('audit open', {
    ...{ entries: again.head.seq, blocks: (await blocks(store)).length, bytes: again.bytes, signatures: verified },
    ms: Math.round(clock.monotonicMs() - fromMs),
  });
  equal(verified, 1);
  deepEqual([again.head, again.bytes, again.signed], [audit.head, audit.bytes, audit.signed]);
  deepEqual((await again.page(99_000, 10)).entries, (await audit.page(99_000, 10)).entries);
});

test('A page is read from where it begins to where it ends, however much is kept', async () => {
  const { clock } = nodePlatform();
  const store = new MemoryStore();
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const audit = createLog(store, authority);
  await audit.open();
  const entry = { kind: 'renew', id: API, key: 'k'.repeat(43), by: 'svid' } as const;
  for (let i = 0; i < 40; i++) await Promise.all([entry, entry, entry].map((each) => audit.append(each)));
  let read = 0;
  const list = store.list.bind(store);
  // Blocks whose value was looked at.
  store.list = async (prefix) =>
    (await list(prefix)).map(({ key, value, revision }) => ({
      ...{ key, revision },
      get value() {
        read++;
        return value;
      },
    }));
  for (const after of [0, 1, 2, 3, 57, 58, 59, 119, 120]) {
    read = 0;
    const { base, entries } = await audit.page(after, 6);
    equal(base.seq, after);
    deepEqual(
      entries.map(({ seq }) => seq),
      [1, 2, 3, 4, 5, 6].map((each) => after + each).filter((seq) => seq <= 120),
    );
    ok(read <= 8, `${read} blocks for ${entries.length} entries`);
  }
});
