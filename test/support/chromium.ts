/** Debian's Chromium, headless, driven by playwright-core: pages for tests, and nothing of it left behind. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from './repository.ts';

/* The few shapes of playwright-core that are used here; the package is installed by the test tools, beside the other runtimes. */
export interface Page {
  goto(url: string): Promise<unknown>;
  content(): Promise<string>;
  /** Resolves when the page has become another one; ask before what makes it so. */
  waitForNavigation(): Promise<unknown>;
  url(): string;
  /** Runs `script`, an expression or a function's text, in the page; what it gives must be JSON. */
  evaluate<T>(script: string): Promise<T>;
  on(event: 'console', listener: (message: { text(): string }) => void): unknown;
  on(event: 'pageerror', listener: (error: Error) => void): unknown;
  click(selector: string): Promise<void>;
  reload(): Promise<unknown>;
  /** Resolves when there is such an element, and it can be seen. */
  waitForSelector(selector: string): Promise<unknown>;
  screenshot(options: { readonly path: string; readonly fullPage?: boolean }): Promise<unknown>;
  close(): Promise<void>;
}
/** A profile of its own: pages in one share what their origins keep. */
export interface BrowserContext {
  newPage(): Promise<Page>;
  /** Speaks the DevTools protocol with a page. */
  newCDPSession(page: Page): Promise<{ send(method: string, params?: object): Promise<unknown> }>;
  close(): Promise<void>;
}
export interface Browser {
  newContext(): Promise<BrowserContext>;
  newPage(): Promise<Page>;
  version(): string;
  /** Ends its processes. */
  close(): Promise<void>;
}
interface Playwright {
  readonly chromium: {
    launch(options: { executablePath: string; headless: boolean; args: readonly string[] }): Promise<Browser>;
  };
}

const EXECUTABLE = '/usr/bin/chromium';

export interface ChromiumOptions {
  /** Names that lead elsewhere than DNS says: host → `address:port`. */
  readonly hosts?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** Ends with `close`; should this process end first, the driver ends the browser it has started. */
export async function launchChromium({ hosts = {}, args = [] }: ChromiumOptions = {}): Promise<Browser> {
  const { chromium } = createRequire(join(root, 'test/runtimes/package.json'))('playwright-core') as Playwright;
  const rules = Object.entries(hosts).map(([host, target]) => `MAP ${host} ${target}`);
  return chromium.launch({
    executablePath: EXECUTABLE,
    headless: true,
    args: [
      // Tests run as root in containers, where there is no namespace for the sandbox and little shared memory.
      ...['--no-sandbox', '--disable-dev-shm-usage'],
      ...(rules.length === 0 ? [] : [`--host-resolver-rules=${rules.join(', ')}`]),
      ...args,
    ],
  });
}
