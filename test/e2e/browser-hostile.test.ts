/** Pages in a real browser that are up to no good, and hubs that are: refused with a type, and nothing leaks. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { lacking } from '../runtime/capabilities.ts';
import { type Browser, type BrowserContext, launchChromium, type Page } from '../support/chromium.ts';
import { printFigures } from '../support/figures.ts';
import { EventLog, LocalMesh } from '../support/local-mesh.ts';
import { OidcIssuer } from '../support/oidc-issuer.ts';
import { startTestSite } from '../support/test-site.ts';
import { bundleForWeb } from '../support/web-bundle.ts';

const ADMIN_TOKEN = 'the-admin-token-of-the-hub';
const MIB = 1024 * 1024;

interface Outcome {
  readonly outcome: 'done' | 'refused';
  readonly code?: string;
}

describe('Pages in Chromium', { skip: lacking('Chromium') }, () => {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (cleanup: () => unknown) => cleanups.push(cleanup) } as unknown as Pick<TestContext, 'after'>;
  const log = new EventLog();
  let mesh: LocalMesh;
  /** Where people log in. */
  let logins: OidcIssuer;
  let browser: Browser;
  let context: BrowserContext;
  /** Origins: the one whose pages the hub lets in, and another. */
  let shop: string;
  let evil: string;

  const open = async (site: string, profile: BrowserContext = context): Promise<Page> => {
    const page = await profile.newPage();
    await page.goto(site);
    return page;
  };
  /** Joins and leaves; gives how that ended. */
  const join = (page: Page, options: object): Promise<Outcome> =>
    page.evaluate<Outcome>(
      `outcomeOf(skein.createMesh(${JSON.stringify({ hub: mesh.hub.url, ...options })}).then((mesh) => mesh.close()))`,
    );

  before(async () => {
    const { text } = await bundleForWeb('test/support/pages/member.ts');
    shop = await startTestSite(t, text);
    evil = await startTestSite(t, text);
    logins = await OidcIssuer.start(t);
    mesh = await LocalMesh.start(t, {
      ...{ adminToken: ADMIN_TOKEN, log, pageOrigins: [new URL(shop).origin] },
      trust: [
        {
          issuer: logins.url,
          audience: 'skein',
          claims: { role: 'cashier' },
          id: 'ns/default/sa/till',
          algorithms: ['ES256'],
        },
      ],
    });
    browser = await launchChromium();
    context = await browser.newContext();
  });

  after(async () => {
    await browser?.close();
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it('Keep a key that no script can read, and no other origin has any of it', async () => {
    const page = await open(shop);
    equal((await join(page, { data: 'shop', token: await mesh.token(['screen']) })).outcome, 'done');
    deepEqual(await page.evaluate(`tryToSteal('skein/shop')`), {
      records: ['identity'],
      tries: ['jwk: refused', 'pkcs8: refused', 'raw: refused'],
    });
    const other = await open(evil);
    deepEqual(await other.evaluate(`tryToSteal('skein/shop')`), { records: [] });
    equal((await join(page, { data: 'shop' })).outcome, 'done', 'it is still there');
  });

  it('Of another origin cannot dial the hub', async () => {
    const page = await open(evil);
    const dial = `outcomeOf(skein.browserPlatform().dialWebSocket('${mesh.hub.url}'))`;
    equal((await page.evaluate<Outcome>(dial)).code, 'SKEIN_HUB_UNREACHABLE');
    equal((await (await open(shop)).evaluate<Outcome>(dial)).outcome, 'done');
  });

  it('Cannot use the admin API, with its token, of whatever origin they are', async () => {
    const base = `http://${mesh.hub.address}`;
    const ask = (mode: string, method: string, path: string): string =>
      `fetch('${base}${path}', { mode: '${mode}', method: '${method}',
        headers: { authorization: 'Bearer ${ADMIN_TOKEN}', 'content-type': 'application/json' },
        body: '${method}' === 'GET' ? undefined : '{"services":["web"]}' })
        .then((answer) => answer.type + ' ' + answer.status, () => 'blocked')`;
    for (const site of [shop, evil]) {
      const page = await open(site);
      equal(await page.evaluate(ask('cors', 'GET', '/v1/services')), 'blocked');
      equal(await page.evaluate(ask('cors', 'POST', '/v1/tokens')), 'blocked');
      equal(await page.evaluate(ask('no-cors', 'POST', '/v1/tokens')), 'opaque 0');
    }
    deepEqual(
      log.of('admin-change').filter(({ fields }) => fields.outcome === 'done'),
      [],
    );
  });

  it('With a token that was used are refused by name, as with one that was made up', async () => {
    const token = await mesh.token(['screen']);
    equal((await join(await open(shop, await browser.newContext()), { token, data: 'shop' })).outcome, 'done');
    const thief = await open(shop, await browser.newContext());
    equal((await join(thief, { token, data: 'shop' })).code, 'SKEIN_TOKEN_USED');
    const other = await mesh.token(['screen']);
    equal((await join(thief, { token: `${other.slice(0, -4)}AAAA`, data: 'shop' })).code, 'SKEIN_TOKEN_INVALID');
    equal((await join(thief, { token: 'no token' })).code, 'SKEIN_TOKEN_INVALID');
    deepEqual(await thief.evaluate(`tryToSteal('skein/shop').then(({ records }) => records)`), ['enrolment']);
  });

  it('Join by the token of a login that the hub trusts, once, and as who it says', async () => {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const claims = { aud: 'skein', sub: 'ann', iat: nowSeconds, exp: nowSeconds + 600 };
    const hubThumbprint = String(log.of('hub-listening')[0]?.fields.thumbprint);
    const token = await logins.sign({ ...claims, role: 'cashier' });
    const page = await open(shop, await browser.newContext());
    const whoAmI = `skein.createMesh(${JSON.stringify({ hub: mesh.hub.url, token, hubThumbprint, data: 'till' })})
      .then(async (mesh) => (await mesh.close(), mesh.id))`;
    equal(await page.evaluate(whoAmI), 'spiffe://skein.mesh/ns/default/sa/till');
    const thief = await open(shop, await browser.newContext());
    equal((await join(thief, { token, hubThumbprint })).code, 'SKEIN_TOKEN_USED');
    const guest = await logins.sign({ ...claims, role: 'guest' });
    equal((await join(thief, { token: guest, hubThumbprint })).code, 'SKEIN_TOKEN_INVALID');
  });

  it('End a link on which text, or a message too large, comes where bytes are due', async (t) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    t.after(() => server.close());
    await once(server, 'listening');
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const page = await open(shop);
    const cases: readonly [send: (socket: WebSocket) => void, code: number, told: number][] = [
      [(socket) => socket.send('text'), 1003, 4003],
      [(socket) => socket.send(Buffer.alloc(256 * 1024 + 1)), 1009, 4009],
      [(socket) => socket.send(Buffer.alloc(8 * MIB)), 1009, 4009],
    ];
    const devtools = await context.newCDPSession(page);
    const heap = async (): Promise<number> => {
      await devtools.send('HeapProfiler.collectGarbage');
      return page.evaluate<number>('performance.memory.usedJSHeapSize');
    };
    const before = await heap();
    for (const [send, code, told] of cases) {
      for (let time = 0; time < 6; time++) {
        const closed = once(server, 'connection').then(async ([socket]) => {
          send(socket);
          // Nothing that follows is heard.
          for (let more = 0; more < 10; more++) socket.send('more');
          return once(socket, 'close');
        });
        const seen = await page.evaluate<{ code: number; reason: string }>(`dialUntilClosed('${url}')`);
        equal(seen.code, code);
        equal((await closed)[0], told);
      }
    }
    equal(server.clients.size, 0);
    const grownMiB = ((await heap()) - before) / MIB;
    printFigures('A page after 18 links that it ended', { grownMiB });
    ok(grownMiB < 12, 'nothing of 50 MiB is kept');
  });

  it('Read what comes as slowly as they like, and send no more than is taken', async (t) => {
    const { mesh: api } = await mesh.join(['api']);
    const total = 24 * MIB;
    const bytes = createHash('sha256');
    let made = 0;
    await api.serve('api', (request) => {
      if (request.method === 'POST') return new Response(request.body);
      const body = new ReadableStream({
        type: 'bytes',
        pull(controller) {
          const chunk = new Uint8Array(64 * 1024).fill(made / (64 * 1024));
          bytes.update(chunk);
          made += chunk.length;
          controller.enqueue(chunk);
          if (made === total) controller.close();
        },
      });
      return new URL(request.url).pathname === '/bulk' ? new Response(body) : new Response('ok');
    });
    const page = await open(shop);
    const token = await mesh.token(['screen']);
    await page.evaluate(`(async () => {
      mesh = await skein.createMesh(${JSON.stringify({ hub: mesh.hub.url, token })});
      reader = (await mesh.fetch('http://api.mesh/bulk')).body.getReader();
      got = [(await reader.read()).value];
    })()`);
    t.after(() => page.evaluate('mesh.close()'));
    // While nobody reads, fifty round trips are time enough to bring all there is.
    await page.evaluate(
      `(async () => { for (let i = 0; i < 50; i++) await (await mesh.fetch('http://api.mesh/')).text(); })()`,
    );
    printFigures('A download that a page does not read', { totalMiB: total / MIB, madeMiB: made / MIB });
    ok(made < 8 * MIB, 'the service is held up');
    const digest = await page.evaluate<string>(`(async () => {
      for (let each = await reader.read(); !each.done; each = await reader.read()) got.push(each.value);
      const whole = new Uint8Array(await new Blob(got).arrayBuffer());
      return new Uint8Array(await crypto.subtle.digest('SHA-256', whole)).toHex();
    })()`);
    equal(digest, bytes.digest('hex'));

    // Both ways at once: what comes back is not read, and so what goes is not taken either.
    const sent = await page.evaluate<number>(`(async () => {
      let sent = 0;
      const body = new ReadableStream({ pull(controller) {
        sent += 65536;
        controller.enqueue(new Uint8Array(65536));
        if (sent === ${total}) controller.close();
      } });
      answer = await mesh.fetch('http://api.mesh/', { method: 'POST', body });
      for (let i = 0; i < 50; i++) await (await mesh.fetch('http://api.mesh/')).text();
      return sent;
    })()`);
    printFigures('An upload that comes back and is not read', { totalMiB: total / MIB, sentMiB: sent / MIB });
    ok(sent < 12 * MIB, 'the page is held up');
    equal(await page.evaluate('answer.arrayBuffer().then(({ byteLength }) => byteLength)'), total);
    match(api.id, /api$/);
  });
});
