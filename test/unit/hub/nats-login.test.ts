/** How a hub comes to its shared store: by TLS with a server that it can trust, and by credentials; at a real nats-server. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { after, before, type TestContext, test } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { Redacted } from '../../../src/core/redacted.ts';
import { NatsStore } from '../../../src/hub/store/nats.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { EventLog } from '../../support/event-log.ts';
import { NatsServer } from '../../support/nats.ts';
import { NatsAccounts } from '../../support/nats-accounts.ts';
import { TestAuthority } from '../../support/nginx.ts';

const skip = lacking('nats-server');
const skipTls = skip || lacking('openssl');
const { clock, random } = nodePlatform();
let authority: TestAuthority;
let secure: NatsServer;

async function start(t: Pick<TestContext, 'after'>, config: string): Promise<NatsServer> {
  const server = await NatsServer.start(config);
  t.after(() => server.remove());
  return server;
}

function tlsWith(names: readonly string[]): string {
  const { certificatePath, keyPath } = authority.issue('nats', names);
  return `tls { cert_file: "${certificatePath}", key_file: "${keyPath}" }`;
}

before(async () => {
  if (skipTls !== false) return;
  authority = new TestAuthority();
  secure = await NatsServer.start(`authorization { user: skein, password: s3cret }\n${tlsWith(['IP:127.0.0.1'])}`);
});
after(async () => {
  await secure?.remove();
  authority?.remove();
});

/** A process of this runtime that trusts the authority: writes a key to the store at `address`. @returns what it says */
async function writeTrusting(address: string): Promise<string> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const at = (path: string): string =>
    JSON.stringify(new URL(`../../../src/${path}.${extension}`, import.meta.url).href);
  const script = `
    import { Redacted } from ${at('core/redacted')};
    import { NatsStore } from ${at('hub/store/nats')};
    import { nodePlatform } from ${at('runtime/node/platform')};
    const { clock, random } = nodePlatform();
    const log = { log: (level, event, fields) => {
      console.log(event + ' ' + (fields.error ?? ''));
      if (event === 'store-unreachable') process.exit();
    } };
    const store = await NatsStore.open({ address: new Redacted(${JSON.stringify(address)}), clock, random, log });
    console.log('wrote ' + (await store.compareAndSet('a', 0, 'by TLS')).value);
    await store.close();`;
  const isDeno = process.versions.deno !== undefined;
  const args = isDeno ? ['eval', '--no-check', script] : ['--input-type=module', '-e', script];
  const trusted = authority.certificatePath;
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: trusted, DENO_CERT: trusted },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: unknown) => (text += String(chunk)));
  await once(child, 'close');
  return text;
}

/** What is said of a store that is not used. */
async function whyUnreachable(address: string): Promise<string> {
  const log = new EventLog();
  const stop = new AbortController();
  const opening = NatsStore.open({ address: new Redacted(address), clock, random, log, signal: stop.signal });
  await log.waitFor('store-unreachable');
  stop.abort();
  await rejects(opening, { code: 'SKEIN_CANCELLED' });
  deepEqual(log.of('store-connected'), []);
  return String(log.of('store-unreachable')[0]?.fields.error);
}

test('tls:// to a server whose authority is trusted: the store is open, and written to', {
  skip: skipTls,
}, async () => {
  const text = await writeTrusting(`tls://skein:s3cret@${secure.address}`);
  match(text, /^store-connected $/m);
  match(text, /^wrote by TLS$/m);
});

test('tls:// to a server under another name is not used, whoever has signed for it', { skip: skipTls }, async (t) => {
  const server = await start(t, tlsWith(['DNS:localhost']));
  const [, port] = server.address.split(':');
  match(await writeTrusting(`tls://localhost:${port}`), /^wrote by TLS$/m);
  const text = await writeTrusting(`tls://${server.address}`);
  match(text, /^store-unreachable \S/m);
  ok(!text.includes('store-connected'), text);
});

test('tls:// to a server that nobody vouches for is not used', { skip: skipTls }, async () => {
  match(await whyUnreachable(`tls://skein:s3cret@${secure.address}`), /certificate/i);
});

test('tls:// to a server without TLS is not used, and is told no password', { skip }, async (t) => {
  const server = await start(t, 'authorization { user: skein, password: s3cret }');
  match(await whyUnreachable(`tls://skein:s3cret@${server.address}`), /does not support 'tls'/);
  // It is the way that is wrong, not the login.
  const store = await NatsStore.open({
    ...{ address: new Redacted(`nats://skein:s3cret@${server.address}`), clock, random, log: new EventLog() },
  });
  await store.close();
});

test('A file of credentials opens the store; those of another operator are refused; neither is ever printed', {
  skip,
}, async (t) => {
  const accounts = new NatsAccounts();
  const server = await start(t, accounts.config);
  const log = new EventLog();
  const open = (creds: string): Promise<NatsStore> => {
    const [address, credentials] = [new Redacted(`nats://${server.address}`), new Redacted(encodeUtf8(creds))];
    return NatsStore.open({ address, credentials, clock, random, log });
  };
  const own = accounts.createUser();
  const store = await open(own.creds);
  equal((await store.compareAndSet('a', 0, 'by credentials'))?.value, 'by credentials');
  // Behind a restart of the server, too.
  await server.kill();
  await log.waitFor('store-lost');
  await server.start();
  await log.waitFor('store-back');
  equal((await store.get('a'))?.value, 'by credentials');
  await store.close();
  const foreign = new NatsAccounts().createUser();
  const refusal = await open(foreign.creds).catch((thrown: unknown) => thrown);
  ok(refusal instanceof Error);
  match(refusal.message, /the server refuses the login/);
  const printed = JSON.stringify([log.lines, refusal, refusal.message, refusal.stack, String(refusal.cause)]);
  for (const { seed } of [own, foreign]) ok(!printed.includes(seed), printed);
});

test('A file that holds no credentials is refused at once, and nothing of it is printed', { skip }, async (t) => {
  const accounts = new NatsAccounts();
  const server = await start(t, accounts.config);
  const { creds, seed } = accounts.createUser();
  for (const text of [
    '',
    'nonsense',
    creds.slice(0, creds.indexOf('SEED')),
    creds.replace(seed, `${seed.slice(0, -4)}AAAA`),
  ]) {
    const log = new EventLog();
    const opening = NatsStore.open({
      ...{ address: new Redacted(`nats://${server.address}`), credentials: new Redacted(encodeUtf8(text)) },
      ...{ clock, random, log },
    });
    await rejects(opening, (error: unknown) => {
      ok(error instanceof Error && 'code' in error);
      equal(error.code, 'SKEIN_CONFIG');
      match(error.message, /no credentials of NATS|refuses the login/);
      ok(
        !JSON.stringify([error, error.message, error.stack, String(error.cause), log.lines]).includes(
          seed.slice(0, 20),
        ),
      );
      return true;
    });
  }
});
