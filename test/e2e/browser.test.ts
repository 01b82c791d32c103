/** The page of examples/browser in a real browser: it calls, streams, is called, and loses nothing when its WebSocket is cut. */
import { equal, match, notEqual, ok } from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { lacking } from '../runtime/capabilities.ts';
import { type Browser, type BrowserContext, launchChromium, type Page } from '../support/chromium.ts';
import { CuttingRelay } from '../support/cutting-relay.ts';
import { printFigures } from '../support/figures.ts';
import { root } from '../support/repository.ts';

interface Example {
  readonly url: string;
  close(): Promise<void>;
}
type StartExample = (options: { hubForPages: (hub: string) => Promise<string> }) => Promise<Example>;

const SCREENSHOTS = join(root, 'build/screenshots');
/** Of a stream that is cut: at some MiB/s it takes seconds. */
const STREAM_MIB = 12;
/** So much has passed when it is cut. */
const CUT_AT_BYTES = 2 * 1024 * 1024;

const textOf = (page: Page, id: string): Promise<string> =>
  page.evaluate<string>(`document.getElementById('${id}').textContent`);

const isReady = (page: Page, button: string): Promise<unknown> => page.waitForSelector(`#${button}:not([disabled])`);

/** Presses a button, waits until what it does is over, and gives what was shown. */
async function press(page: Page, button: string, output: string): Promise<string> {
  await page.click(`#${button}`);
  await isReady(page, button);
  return textOf(page, output);
}

/** Resolves when so many bytes of the stream have passed; gives how many of how many. */
const passed = (bytes: number): string => `new Promise((resolve) => {
  const bar = document.getElementById('progress');
  const look = () => bar.value >= ${bytes} && bar.max > 1 ? resolve([bar.value, bar.max]) : setTimeout(look, 5);
  look();
})`;

describe('The example page in Chromium', { skip: lacking('Chromium') }, () => {
  let relay: CuttingRelay;
  let example: Example;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const mishaps: string[] = [];

  const open = async (): Promise<Page> => {
    const opened = await context.newPage();
    opened.on('pageerror', (error) => mishaps.push(String(error)));
    await opened.goto(example.url);
    await isReady(opened, 'call');
    return opened;
  };

  before(async () => {
    const path = pathToFileURL(join(root, 'examples/browser/server.mjs')).href;
    const { startExample } = (await import(path)) as { startExample: StartExample };
    example = await startExample({
      hubForPages: async (hub) => {
        relay = await CuttingRelay.listen(new URL(hub).host);
        return `ws://${relay.address}`;
      },
    });
    browser = await launchChromium();
    context = await browser.newContext();
    page = await open();
  });

  after(async () => {
    await browser?.close();
    await example?.close();
    await relay?.close();
  });

  it('Calls a service of Node behind a sidecar, speaks raw bytes with another, and is called by the first', async () => {
    equal(await textOf(page, 'state'), 'connected');
    equal(await textOf(page, 'identity'), 'spiffe://skein.mesh/ns/default/sa/screen');
    match(await press(page, 'call', 'call-result'), /^Hello, spiffe:\/\/skein\.mesh\/ns\/default\/sa\/screen\./);
    equal(await press(page, 'echo', 'echo-result'), 'Is anybody there? ');
    match(await press(page, 'ask', 'ask-result'), /^I am a page of \d+ by \d+ pixels, instance [\w-]+\.$/);
    match(await textOf(page, 'asked'), /^asked by spiffe:\/\/skein\.mesh\/ns\/default\/sa\/api$/);
    match(await press(page, 'download', 'stream-result'), /^received 8 MiB, every byte in its place/);
    mkdirSync(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(SCREENSHOTS, 'browser-example.png'), fullPage: true });
  });

  for (const [stream, button] of [
    ['what comes', 'download'],
    ['what goes', 'upload'],
  ] as const) {
    for (const cut of ['rst', 'mid-message', 'close-1001', 'silence'] as const) {
      it(`Loses no byte of ${stream} when its WebSocket is cut in the middle: ${cut}`, async () => {
        await page.evaluate(`document.getElementById('mebibytes').value = ${STREAM_MIB}`);
        await page.evaluate(`document.getElementById('progress').value = 0`);
        const before = relay.counts.cuts[cut];
        await page.click(`#${button}`);
        const [bytes, total] = await page.evaluate<[number, number]>(passed(CUT_AT_BYTES));
        relay.cut(cut);
        await isReady(page, button);
        const shown = await textOf(page, 'stream-result');
        match(shown, new RegExp(`${STREAM_MIB} MiB, every byte in its place`));
        ok(bytes < total, 'it was cut in the middle');
        ok(relay.counts.cuts[cut] > before, 'it was cut');
        printFigures(`A page's ${button} over a WebSocket that is cut`, { cut, cutAtBytes: bytes, shown });
      });
    }
  }

  it('Is who it was when it is loaded again, and needs no token', async () => {
    const before = [await textOf(page, 'identity'), await textOf(page, 'instance')];
    equal(await textOf(page, 'way'), 'a join token');
    await page.reload();
    await isReady(page, 'call');
    equal(await textOf(page, 'way'), 'the identity kept in this browser');
    equal(await textOf(page, 'identity'), before[0]);
    notEqual(await textOf(page, 'instance'), before[1]);
    match(await press(page, 'call', 'call-result'), /^Hello/);
  });

  it('Is one of two in another window, and each of them is called', async () => {
    const other = await open();
    equal(await textOf(other, 'way'), 'the identity kept in this browser');
    const instances = [await textOf(page, 'instance'), await textOf(other, 'instance')];
    const answered = new Set<string>();
    for (let asked = 0; answered.size < 2 && asked < 200; asked++) {
      const answer = await press(page, 'ask', 'ask-result');
      answered.add(/instance ([\w-]+)\./.exec(answer)?.[1] ?? answer);
    }
    equal([...answered].sort().join(), instances.sort().join());
    await other.close();
  });

  it('Told the browser of no mishap', () => equal(mishaps.join('\n'), ''));
});
