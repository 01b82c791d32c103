/** What the suites use of `node:test`, for runtimes that have none: tests of one file, which run one after the other when told to. */

export interface TestResult {
  /** Titles from the outermost on, joined by ` > `. */
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  /** Of a failure. */
  readonly text: string;
}

type Hook = (context: Context) => unknown;
type Body = (context: Context) => unknown;

interface Options {
  readonly skip?: boolean | string;
  /** Milliseconds. */
  readonly timeout?: number;
}

interface Suite {
  readonly title: string;
  readonly parent: Suite | undefined;
  readonly isSkipped: boolean;
  readonly entries: (Suite | Test)[];
  readonly hooks: Record<'before' | 'after' | 'beforeEach' | 'afterEach', Hook[]>;
}

interface Test extends Required<Options> {
  readonly title: string;
  readonly run: Body;
}

/** Whatever takes as long never ends. */
const TIMEOUT_MS = 300_000;

class Context {
  readonly name: string;
  readonly #cleanups: Hook[] = [];

  constructor(name: string) {
    this.name = name;
  }

  after(cleanup: Hook): void {
    this.#cleanups.push(cleanup);
  }

  /** Told to people only, and they look at other runtimes. */
  diagnostic(): void {}

  async end(): Promise<void> {
    // In the order of Node, which is that of their being named.
    for (const cleanup of this.#cleanups) await cleanup(this);
  }
}

const createSuite = (title: string, parent: Suite | undefined, isSkipped: boolean): Suite => ({
  ...{ title, parent, isSkipped, entries: [] },
  hooks: { before: [], after: [], beforeEach: [], afterEach: [] },
});

let current = createSuite('', undefined, false);

/** What `test` and `describe` are called with: a title, options, a body, of which the options may be missing. */
function readArguments(options: Options | Body, body: Body | undefined): { options: Options; body: Body } {
  if (typeof options === 'function') return { options: {}, body: options };
  return { options, body: body ?? (() => undefined) };
}

export function test(title: string, first: Options | Body = {}, second?: Body): void {
  const { options, body } = readArguments(first, second);
  const { skip = false, timeout = TIMEOUT_MS } = options;
  current.entries.push({ title, skip, timeout, run: body });
}

/** Another word for the same. */
export const it: typeof test = (...given) => test(...given);

export function describe(title: string, first: Options | Body = {}, second?: Body): void {
  const { options, body } = readArguments(first, second);
  const outer = current;
  current = createSuite(title, outer, Boolean(options.skip) || outer.isSkipped);
  outer.entries.push(current);
  try {
    body(new Context(title));
  } finally {
    current = outer;
  }
}

export const before = (hook: Hook): number => current.hooks.before.push(hook);
export const after = (hook: Hook): number => current.hooks.after.push(hook);
export const beforeEach = (hook: Hook): number => current.hooks.beforeEach.push(hook);
export const afterEach = (hook: Hook): number => current.hooks.afterEach.push(hook);

/** Runs all that was declared since the last time. */
export async function runDeclared(): Promise<readonly TestResult[]> {
  const declared = current;
  current = createSuite('', undefined, false);
  const results: TestResult[] = [];
  await runSuite(declared, '', results);
  return results;
}

async function runSuite(suite: Suite, prefix: string, results: TestResult[]): Promise<void> {
  const context = new Context(suite.title);
  const note = (name: string, thrown: unknown): number => results.push({ name, state: 'failed', text: toText(thrown) });
  let broken: { readonly thrown: unknown } | undefined;
  try {
    if (!suite.isSkipped) for (const hook of suite.hooks.before) await hook(context);
  } catch (thrown) {
    broken = { thrown };
  }
  for (const entry of suite.entries) {
    const name = prefix + entry.title;
    if ('entries' in entry) await runSuite(entry, `${name} > `, results);
    else if (suite.isSkipped || entry.skip) results.push({ name, state: 'skipped', text: String(entry.skip) });
    else if (broken !== undefined) note(name, broken.thrown);
    else results.push(await runTest(entry, suite, name));
  }
  try {
    if (!suite.isSkipped) for (const hook of suite.hooks.after) await hook(context);
    await context.end();
  } catch (thrown) {
    note(`${prefix}(after)`, thrown);
  }
}

async function runTest({ title, run, timeout }: Test, suite: Suite, name: string): Promise<TestResult> {
  const context = new Context(title);
  const outwards: Suite[] = [];
  for (let each: Suite | undefined = suite; each !== undefined; each = each.parent) outwards.push(each);
  let failure: { readonly thrown: unknown } | undefined;
  const attempt = async (act: () => unknown): Promise<void> => {
    try {
      await act();
    } catch (thrown) {
      failure ??= { thrown };
    }
  };
  await attempt(async () => {
    for (const { hooks } of [...outwards].reverse()) for (const hook of hooks.beforeEach) await hook(context);
    await inTime(run(context), timeout);
  });
  for (const { hooks } of outwards) for (const hook of hooks.afterEach) await attempt(() => hook(context));
  await attempt(() => context.end());
  return failure === undefined
    ? { name, state: 'passed', text: '' }
    : { name, state: 'failed', text: toText(failure.thrown) };
}

async function inTime(work: unknown, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`It is not over after ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function toText(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : `\ncaused by ${toText(thrown.cause)}`;
  const stack = thrown.stack ?? '';
  return (stack.includes(thrown.message) ? stack : `${thrown.name}: ${thrown.message}\n${stack}`) + cause;
}
