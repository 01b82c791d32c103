/** `node:test` where a runtime has none: what the neutral suites use of it, one test after the other. */

export interface TestResult {
  readonly file: string;
  /** With the names of the suites it is in: `outer > inner > test`. */
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  /** Why it failed. */
  readonly text: string;
}

interface Options {
  readonly skip?: boolean | string;
  readonly timeout?: number;
}

type Hook = () => unknown;

interface Context {
  readonly name: string;
  after(hook: Hook): void;
  diagnostic(text: string): void;
}

type Body = (context: Context) => unknown;

interface Case {
  readonly name: string;
  readonly options: Options;
  readonly body: Body | undefined;
}

class Suite {
  readonly name: string;
  readonly options: Options;
  readonly children: (Suite | Case)[] = [];
  readonly before: Hook[] = [];
  readonly after: Hook[] = [];
  readonly beforeEach: Hook[] = [];
  readonly afterEach: Hook[] = [];

  constructor(name: string, options: Options = {}) {
    this.name = name;
    this.options = options;
  }
}

const TIMEOUT_MS = 60_000;

let current = new Suite('');

/** Loads one file, and runs what it has declared. */
export async function runFile(file: string, load: () => Promise<unknown>, tell: (result: TestResult) => void) {
  const root = new Suite('');
  current = root;
  try {
    await load();
    await runSuite(root, [], (name, state, text = '') => tell({ file, name, state, text }));
  } catch (thrown) {
    tell({ file, name: 'the file itself', state: 'failed', text: toText(thrown) });
  }
}

type Tell = (name: string, state: TestResult['state'], text?: string) => void;

/** @param above suites around it and it itself, the outermost first */
async function runSuite(suite: Suite, above: readonly Suite[], tell: Tell): Promise<void> {
  const path = [...above, suite];
  try {
    for (const hook of suite.before) await hook();
    for (const child of suite.children) {
      if (child.options.skip) tellSkipped(child, path, tell);
      else if (child instanceof Suite) await runSuite(child, path, tell);
      else await runCase(child, path, tell);
    }
  } finally {
    for (const hook of suite.after) await hook();
  }
}

function tellSkipped(child: Suite | Case, path: readonly Suite[], tell: Tell): void {
  if (!(child instanceof Suite)) tell(nameOf(path, child.name), 'skipped');
  else for (const each of child.children) tellSkipped(each, [...path, child], tell);
}

async function runCase({ name, options, body }: Case, path: readonly Suite[], tell: Tell): Promise<void> {
  const whole = nameOf(path, name);
  const hooks: Hook[] = [];
  const context: Context = { name, after: (hook) => hooks.unshift(hook), diagnostic: () => undefined };
  try {
    try {
      for (const suite of path) for (const hook of suite.beforeEach) await hook();
      await withLimit(Promise.resolve(body?.(context)), options.timeout ?? TIMEOUT_MS);
    } finally {
      for (const hook of hooks) await hook();
      for (const suite of [...path].reverse()) for (const hook of suite.afterEach) await hook();
    }
    tell(whole, 'passed');
  } catch (thrown) {
    tell(whole, 'failed', toText(thrown));
  }
}

async function withLimit(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end in ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

const nameOf = (path: readonly Suite[], name: string): string =>
  [...path.map((suite) => suite.name).filter((each) => each !== ''), name].join(' > ');

function toText(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { stack = '', message } = thrown;
  return stack.includes(message) ? stack : `${message}\n${stack}`;
}

/** Declares a test. */
export function test(name: string, ...rest: readonly (Options | Body | undefined)[]): void {
  const options = rest.find((each): each is Options => typeof each === 'object');
  const body = rest.find((each): each is Body => typeof each === 'function');
  current.children.push({ name, options: options ?? {}, body });
}

export const it: typeof test = test;

/** Declares a suite: `body` is run at once. */
export function describe(name: string, ...rest: readonly (Options | (() => void))[]): void {
  const options = rest.find((each): each is Options => typeof each === 'object');
  const body = rest.find((each): each is () => void => typeof each === 'function');
  const outer = current;
  current = new Suite(name, options);
  outer.children.push(current);
  body?.();
  current = outer;
}

/** Run around all that is declared beside it, and around each test of it. */
export const before = (hook: Hook): number => current.before.push(hook);
export const after = (hook: Hook): number => current.after.push(hook);
export const beforeEach = (hook: Hook): number => current.beforeEach.push(hook);
export const afterEach = (hook: Hook): number => current.afterEach.push(hook);
