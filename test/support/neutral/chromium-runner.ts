/** Neutral suites in Chromium: a page for each file, as many at once as the machine has processors. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { type Browser, launchChromium, type Page } from '../chromium.ts';
import type { TestResult } from './node-test.ts';
import { bundleNeutral } from './suites.ts';

export interface ChromiumRun {
  readonly version: string;
  /** What was neutral of the files that were asked about. */
  readonly files: readonly string[];
  readonly tests: readonly (TestResult & { readonly file: string })[];
}

const RUNTIME = { runtime: 'test/support/neutral/browser-runtime.ts', conditions: ['browser'] };
const SHIM = 'test/support/neutral/node-test.mjs';
/** A page that says nothing for so long never will. */
const PAGE_LIMIT_MS = 240_000;

/** @param say where figures of tests go */
export async function runInChromium(asked: readonly string[], say: (line: string) => void): Promise<ChromiumRun> {
  const { files, modules } = await bundleNeutral(asked, RUNTIME);
  const server = await serve(modules);
  const browser = await launchChromium();
  try {
    const url = `http://localhost:${(server.address() as AddressInfo).port}/`;
    const waiting = [...files];
    const tests: (TestResult & { file: string })[] = [];
    const work = async (): Promise<void> => {
      const desk = await openDesk(browser, say);
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        for (const result of await runFile(desk, url, file)) tests.push({ file, ...result });
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
    return { version: browser.version(), files, tests };
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

async function serve(modules: ReadonlyMap<string, string>): Promise<Server> {
  const server = createServer(({ url = '/' }, response) => {
    const text = modules.get(url.slice(1));
    response.setHeader('content-type', text === undefined ? 'text/html' : 'text/javascript');
    response.end(text ?? '<!doctype html><link rel="icon" href="data:,">');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** A tab in which one file runs after the other. */
interface Desk {
  readonly page: Page;
  /** What nobody waited for has failed all the same. */
  readonly mishaps: TestResult[];
}

async function openDesk(browser: Browser, say: (line: string) => void): Promise<Desk> {
  const page = await browser.newPage();
  const mishaps: TestResult[] = [];
  page.on('pageerror', ({ stack }) =>
    mishaps.push({ name: 'outside of any test', state: 'failed', text: String(stack) }),
  );
  page.on('console', (message) => {
    if (message.text().startsWith('{"figures":')) say(message.text());
  });
  return { page, mishaps };
}

/** The page is another one for each file: nothing is left of the one before. */
async function runFile({ page, mishaps }: Desk, url: string, file: string): Promise<readonly TestResult[]> {
  let limit: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    limit = setTimeout(() => reject(new Error(`${file} told nothing in ${PAGE_LIMIT_MS} ms`)), PAGE_LIMIT_MS);
  });
  const run = async (): Promise<readonly TestResult[]> => {
    await page.goto(url);
    return page.evaluate<readonly TestResult[]>(`import('/${SHIM}').then(async ({ runDeclared }) => {
      await import('/${file.replace(/\.ts$/, '.mjs')}');
      return runDeclared();
    })`);
  };
  try {
    const results = await Promise.race([run(), late]);
    return [...results, ...mishaps.splice(0)];
  } catch (thrown) {
    return [{ name: 'the whole file', state: 'failed', text: String(thrown) }, ...mishaps.splice(0)];
  } finally {
    clearTimeout(limit);
  }
}
