/** What the suites use of `node:assert/strict`, for runtimes that have none. */

import { isDeepEqual } from './deep-equal.ts';

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
  readonly code = 'ERR_ASSERTION';
  readonly actual: unknown;
  readonly expected: unknown;

  constructor({ message, actual, expected }: { message: string; actual?: unknown; expected?: unknown }) {
    super(message);
    this.actual = actual;
    this.expected = expected;
  }
}

/** A class, a pattern of its text, a judge, or the members that it has. */
type Expected = unknown;
type Message = string | Error | undefined;

function demand(isTrue: boolean, message: Message, told: () => string, values: object = {}): asserts isTrue {
  if (isTrue) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({ message: message === undefined ? told() : `${message}: ${told()}`, ...values });
}

export function ok(value: unknown, message?: Message): asserts value {
  demand(Boolean(value), message, () => `${show(value)} is not true`);
}

export function equal(actual: unknown, expected: unknown, message?: Message): void {
  const told = (): string => `${show(actual)} is not ${show(expected)}`;
  demand(Object.is(actual, expected), message, told, { actual, expected });
}

export function notEqual(actual: unknown, expected: unknown, message?: Message): void {
  demand(!Object.is(actual, expected), message, () => `${show(actual)} is the same`);
}

export function deepEqual(actual: unknown, expected: unknown, message?: Message): void {
  const told = (): string => `${show(actual)}\nis not like\n${show(expected)}`;
  demand(isDeepEqual(actual, expected), message, told, { actual, expected });
}

export function notDeepEqual(actual: unknown, expected: unknown, message?: Message): void {
  demand(!isDeepEqual(actual, expected), message, () => `${show(actual)} is alike`);
}

export function match(text: string, pattern: RegExp, message?: Message): void {
  demand(typeof text === 'string' && pattern.test(text), message, () => `${show(text)} does not match ${pattern}`);
}

export function doesNotMatch(text: string, pattern: RegExp, message?: Message): void {
  demand(typeof text === 'string' && !pattern.test(text), message, () => `${show(text)} matches ${pattern}`);
}

export function fail(message: Message = 'Failed'): never {
  throw message instanceof Error ? message : new AssertionError({ message });
}

export function throws(act: () => unknown, expected?: Expected, message?: Message): void {
  let thrown: unknown;
  try {
    act();
  } catch (caught) {
    thrown = { caught };
  }
  checkFailure(thrown as { caught: unknown } | undefined, expected, message);
}

export async function rejects(
  work: Promise<unknown> | (() => Promise<unknown>),
  expected?: Expected,
  message?: Message,
): Promise<void> {
  const failure = await (typeof work === 'function' ? work() : work).then(
    () => undefined,
    (caught: unknown) => ({ caught }),
  );
  checkFailure(failure, expected, message);
}

export function doesNotThrow(act: () => unknown): void {
  act();
}

export async function doesNotReject(work: Promise<unknown> | (() => Promise<unknown>)): Promise<void> {
  await (typeof work === 'function' ? work() : work);
}

function checkFailure(failure: { caught: unknown } | undefined, expected: Expected, message: Message): void {
  const isText = typeof expected === 'string';
  demand(failure !== undefined, isText ? expected : message, () => 'nothing was thrown');
  if (expected === undefined || isText || isExpected(failure.caught, expected)) return;
  if (typeof expected !== 'object' && failure.caught instanceof Error) throw failure.caught;
  const shown = expected instanceof RegExp ? String(expected) : show(expected);
  const error = failure.caught as Partial<Error> & { code?: string };
  fail(`thrown was ${error?.name} ${error?.code ?? ''} ${show(error?.message)}, not ${shown}`);
}

function isExpected(caught: unknown, expected: unknown): boolean {
  if (expected instanceof RegExp) return expected.test(String(caught));
  if (typeof expected === 'function') {
    if (expected.prototype !== undefined && caught instanceof expected) return true;
    return !(expected.prototype instanceof Error || expected === Error) && expected(caught) === true;
  }
  return Object.entries(expected as object).every(([key, wanted]) => {
    const has = (caught as Record<string, unknown> | undefined)?.[key];
    return wanted instanceof RegExp && typeof has === 'string' ? wanted.test(has) : isDeepEqual(has, wanted);
  });
}

const MAX_SHOWN = 2_000;

function show(value: unknown): string {
  const plain = (_key: string, each: unknown): unknown => {
    if (typeof each === 'bigint') return `${each}n`;
    if (each instanceof Map || each instanceof Set) return [...each];
    if (each instanceof Uint8Array) return `bytes ${[...each.subarray(0, 64)].join(' ')}`;
    if (each instanceof Error) return `${each.name}: ${each.message}`;
    return each === undefined ? 'undefined' : each;
  };
  try {
    return (JSON.stringify(value, plain) ?? String(value)).slice(0, MAX_SHOWN);
  } catch {
    return String(value);
  }
}

const assert = Object.assign(ok, {
  ...{ ok, equal, notEqual, deepEqual, notDeepEqual, match, doesNotMatch, fail, throws, rejects },
  ...{ doesNotThrow, doesNotReject, AssertionError, strictEqual: equal, deepStrictEqual: deepEqual },
});
// biome-ignore lint/style/noDefaultExport: the module that it stands for has one
export default assert;
