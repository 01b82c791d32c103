/**
 * WebCrypto works on other threads. While a virtual clock needs it, calls are counted, so that time stands still until they have answered, and
 * answers come in the order of the calls, each in a task of its own, so that two runs see the same.
 */

import { runInNextTask, type VirtualClock } from './virtual-clock.ts';

const METHODS = [
  'decrypt',
  'deriveBits',
  'deriveKey',
  'digest',
  'encrypt',
  'exportKey',
  'generateKey',
  'importKey',
  'sign',
  'unwrapKey',
  'verify',
  'wrapKey',
] as const;

type Method = (...args: unknown[]) => Promise<unknown>;

/** Clocks that stand still for it. The calls themselves do not say whose they are: `jose` knows no clock. */
const clocks = new Set<VirtualClock>();
/** Properties that somebody else had put in the place of methods. */
const covered = new Map<string, PropertyDescriptor>();
/** The answer before, when somebody has heard it. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Counts calls of `crypto.subtle` for `clock` until what this returns is called. The methods are replaced with the first clock and
 * given back with the last.
 */
export function trackWebCrypto(clock: VirtualClock): () => void {
  if (clocks.size === 0) replaceMethods();
  clocks.add(clock);
  return () => {
    if (clocks.delete(clock) && clocks.size === 0) restoreMethods();
  };
}

function replaceMethods(): void {
  const { subtle } = crypto;
  for (const name of METHODS) {
    const original = (subtle[name] as Method).bind(subtle);
    const value = (...args: unknown[]): Promise<unknown> => inTurn(original(...args));
    const other = Object.getOwnPropertyDescriptor(subtle, name);
    if (other !== undefined) covered.set(name, other);
    // An own property hides that of the prototype, which is never touched.
    Object.defineProperty(subtle, name, { value, configurable: true, writable: true });
  }
}

function restoreMethods(): void {
  for (const name of METHODS) Reflect.deleteProperty(crypto.subtle, name);
  for (const [name, other] of covered) Object.defineProperty(crypto.subtle, name, other);
  covered.clear();
}

function inTurn(work: Promise<unknown>): Promise<unknown> {
  const before = last;
  work.catch(() => undefined); // who asked hears of it in turn
  const answer = before.then(() => work);
  const heard = answer.then(nextTask, nextTask);
  last = heard;
  for (const clock of clocks) void clock.track(heard);
  return answer;
}

function nextTask(): Promise<void> {
  return new Promise(runInNextTask);
}
