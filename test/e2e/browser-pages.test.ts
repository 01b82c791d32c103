/** Pages of the web in a real browser on the machine of a hub and a sidecar: neither DNS rebinding nor another origin gets an answer or a change. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type AppOptions, createApp } from '../../src/hub/app.ts';
import { AUDIT_PREFIX, readBlock } from '../../src/hub/audit-blocks.ts';
import { MemoryStore } from '../../src/hub/store/memory.ts';
import { type AdminAppOptions, createAdminApp } from '../../src/sidecar/admin.ts';
import { lacking } from '../runtime/capabilities.ts';
import { type Browser, launchChromium, type Page } from '../support/chromium.ts';
import { printFigures } from '../support/figures.ts';
import { EventLog, LocalMesh } from '../support/local-mesh.ts';
import { ANY_PORT, startHttpApp, startSidecar } from '../support/local-sidecars.ts';

interface Surface {
  readonly name: string;
  /** `host:port` */
  readonly address: string;
  readonly token: string;
  readonly routes: readonly { readonly method: string; readonly path: string }[];
}

/** What a page is told. */
interface Seen {
  readonly what: string;
  /** 0: nothing that a page can read. */
  readonly status: number;
  readonly body: string;
  /** The browser has let nothing through. */
  readonly isBlocked: boolean;
}

/** A name that its owner lets lead to this machine. */
const EVIL = 'evil.example';
const ADMIN_TOKEN = 'the-admin-token-of-the-hub';
const TYPES = ['text/plain', 'application/json', 'application/x-www-form-urlencoded'];

/** Runs in the page: all that a page can ask of `base`. */
const askAll = (base: string, { token, routes }: Surface, modes: readonly string[]): string => `(async () => {
  const seen = [];
  const ask = async (what, url, init) => {
    try {
      const answer = await fetch(url, init);
      seen.push({ what, status: answer.status, body: await answer.text(), isBlocked: false });
    } catch (error) {
      seen.push({ what, status: 0, body: '', isBlocked: true });
    }
  };
  for (const mode of ${JSON.stringify(modes)}) {
    for (const { method, path } of ${JSON.stringify(routes)}) {
      const url = ${JSON.stringify(base)} + path.replace(/:\\w+/g, 'x');
      const auth = { authorization: 'Bearer ' + ${JSON.stringify(token)} };
      for (const headers of mode === 'no-cors' ? [{}] : [{}, auth]) {
        const name = [mode, method, path, Object.keys(headers).join()].join(' ');
        if (method === 'GET') await ask(name, url, { mode, headers });
        else if (method === 'DELETE' && mode !== 'no-cors') await ask(name, url, { mode, method, headers });
        else for (const type of ${JSON.stringify(TYPES)}) {
          await ask(name + ' ' + type, url, { mode, method: 'POST', headers: { ...headers, 'content-type': type }, body: '{"services":["web"]}' });
        }
      }
    }
  }
  return seen;
})()`;

/** Sends a form, as a click would; the page is another one then. */
const submit = (action: string, enctype: string): string => `(() => {
  const form = document.createElement('form');
  Object.assign(form, { method: 'post', action: ${JSON.stringify(action)}, enctype: ${JSON.stringify(enctype)} });
  const field = document.createElement('input');
  Object.assign(field, { name: '{"services":["web"],"x":"', value: '"}' });
  form.append(field);
  document.body.append(form);
  form.submit();
})()`;

/** Opens a WebSocket from the page. */
const dial = (url: string): string => `new Promise((resolve) => {
  const socket = new WebSocket(${JSON.stringify(url)});
  socket.onopen = () => resolve('open');
  socket.onerror = () => resolve('refused');
})`;

describe('A page in Chromium', { skip: lacking('Chromium') }, () => {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (cleanup: () => unknown) => cleanups.push(cleanup) } as unknown as Pick<TestContext, 'after'>;
  const store = new MemoryStore();
  const log = new EventLog();
  let browser: Browser;
  let surfaces: readonly Surface[];
  /** Where pages of another origin come from. */
  let site: string;

  before(async () => {
    const mesh = await LocalMesh.start(t, { adminToken: ADMIN_TOKEN, store, log });
    const { sidecar } = await startSidecar(t, mesh, { services: ['web'], admin: ANY_PORT });
    surfaces = [
      {
        name: 'hub',
        address: mesh.hub.address,
        token: ADMIN_TOKEN,
        routes: createApp({} as AppOptions).routes,
      },
      {
        name: 'sidecar',
        address: new URL(sidecar.addresses.admin ?? '').host,
        token: sidecar.adminToken.reveal(),
        routes: createAdminApp({} as AdminAppOptions).routes,
      },
    ];
    const pages = await startHttpApp(t, (_request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><body>a page</body>');
    });
    site = `http://${EVIL}:${pages.address.split(':')[1]}/`;
    browser = await launchChromium({ hosts: { [EVIL]: '127.0.0.1' } });
  });

  after(async () => {
    await browser?.close();
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  /** But for the ends of stretches, which the hub writes to its audit log by the clock. */
  const readState = async (): Promise<unknown> => {
    const kept = await store.list('');
    return [
      kept.filter(({ key }) => !key.startsWith(AUDIT_PREFIX)).map(({ key, revision }) => [key, revision]),
      kept
        .filter(({ key }) => key.startsWith(AUDIT_PREFIX))
        .map(({ key, value }) => [key, readBlock(value)?.entries.filter(({ kind }) => kind !== 'stretch')])
        .filter(([, entries]) => entries?.length !== 0),
      log.of('admin-change').filter(({ fields }) => fields.outcome === 'done'),
    ];
  };

  const withPage = async <T>(url: string, use: (page: Page) => Promise<T>): Promise<T> => {
    const page = await browser.newPage();
    await page.goto(url);
    const done = await use(page);
    await page.close();
    return done;
  };

  it('Under a name that leads here (DNS rebinding) is told by every route that it is not known', async () => {
    for (const surface of surfaces) {
      const stateBefore = await readState();
      const base = `http://${EVIL}:${surface.address.split(':')[1]}`;
      const seen = await withPage(`${base}/healthz`, async (page) => {
        equal(await page.evaluate('location.origin'), base, 'the page has the origin that it asks');
        return page.evaluate<Seen[]>(askAll(base, surface, ['same-origin']));
      });
      for (const { what, status, body } of seen) {
        equal(status, 421, `${surface.name}: ${what}`);
        match(body, /SKEIN_MISDIRECTED/, what);
      }
      ok(seen.length > 2 * surface.routes.length);
      deepEqual(await readState(), stateBefore, 'nothing has changed');
      printFigures('A rebound page', { surface: surface.name, asked: seen.length, answered: 0 });
    }
  });

  it('Of another origin reads nothing and changes nothing, with the token and without', async () => {
    for (const surface of surfaces) {
      const stateBefore = await readState();
      const seen: Seen[] = [];
      for (const host of ['127.0.0.1', 'localhost']) {
        const base = `http://${host}:${surface.address.split(':')[1]}`;
        const script = askAll(base, surface, ['cors', 'no-cors']);
        seen.push(...(await withPage(site, (page) => page.evaluate<Seen[]>(script))));
      }
      for (const { what, status, body } of seen) {
        equal(status, 0, `${surface.name}: ${what}`);
        equal(body, '', what);
      }
      deepEqual(await readState(), stateBefore, 'nothing has changed');
      const blocked = seen.filter(({ isBlocked }) => isBlocked).length;
      printFigures('A page of another origin', { surface: surface.name, asked: seen.length, blocked });
    }
  });

  it('Cannot have a form sent for it, nor open a WebSocket', async () => {
    for (const { name, address, routes } of surfaces) {
      const stateBefore = await readState();
      const port = address.split(':')[1];
      const paths = routes.filter(({ method }) => method === 'POST').map(({ path }) => path);
      await withPage(site, async (page) => {
        for (const host of ['127.0.0.1', EVIL]) {
          const base = `http://${host}:${port}`;
          // Host and origin are looked at before the path: under the foreign name one stands for all.
          for (const path of host === EVIL ? paths.slice(0, 1) : paths) {
            for (const enctype of ['text/plain', 'application/x-www-form-urlencoded']) {
              await page.goto(site);
              const arrived = page.waitForNavigation();
              await page.evaluate(submit(base + path, enctype));
              await arrived;
              match(await page.content(), /SKEIN_(DENIED|MISDIRECTED)/, `${name}: ${enctype} to ${base}${path}`);
            }
          }
          await page.goto(site);
          equal(await page.evaluate(dial(`ws://${host}:${port}`)), 'refused', name);
        }
      });
      deepEqual(await readState(), stateBefore, 'nothing has changed');
    }
  });
});
