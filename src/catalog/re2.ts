/** RE2, which matches in linear time: the regular expressions of routes. The only door to re2js. */

import { RE2JS } from 're2js';
import type { RegularExpressions } from './regular-expression.ts';

export type { RegularExpressions, TextTest } from './regular-expression.ts';

/** Instructions of a compiled pattern: with 16 KiB of text, the most a field may hold, a match takes milliseconds at worst. */
const MAX_INSTRUCTIONS = 1000;

/** Regular expressions for members that are made without: `createMesh({ regularExpressions: RE2 })` in a Worker. */
export const RE2: RegularExpressions = {
  findFault(pattern) {
    if (/[^\x20-\x7e]/.test(pattern)) return 'holds a character that is not printable ASCII; write bytes as \\xHH';
    try {
      const size = RE2JS.compile(pattern).programSize();
      return size > MAX_INSTRUCTIONS ? `is too large: ${size} instructions, ${MAX_INSTRUCTIONS} allowed` : undefined;
    } catch (thrown) {
      return `is no regular expression of RE2: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    }
  },
  compile(pattern) {
    // Every byte is a character, line feeds included: a byte that `.` left out would slip past a rule that denies.
    const compiled = RE2JS.compile(pattern, RE2JS.DOTALL);
    return (text) => compiled.testExact(text);
  },
};
