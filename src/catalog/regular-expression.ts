/**
 * Regular expressions that people write, matched in linear time (RE2): a pattern can cost a request no more than its own
 * length times that of the text. `RegExp` of the runtime never sees them. The only door to re2js.
 */

import { RE2JS } from 're2js';

/** A whole text matches, or it does not. The text holds one character per byte. */
export type TextTest = (text: string) => boolean;

/** Instructions of a compiled pattern: with 16 KiB of text, the most a field may hold, a match takes milliseconds at worst. */
const MAX_INSTRUCTIONS = 1000;

/** What is wrong with `pattern`, or undefined. */
export function findPatternFault(pattern: string): string | undefined {
  if (/[^\x20-\x7e]/.test(pattern)) return 'holds a character that is not printable ASCII; write bytes as \\xHH';
  try {
    const size = RE2JS.compile(pattern).programSize();
    return size > MAX_INSTRUCTIONS ? `is too large: ${size} instructions, ${MAX_INSTRUCTIONS} allowed` : undefined;
  } catch (thrown) {
    return `is no regular expression of RE2: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

/** @throws what RE2 says of a pattern that `findPatternFault` finds fault with */
export function compilePattern(pattern: string): TextTest {
  // Every byte is a character, line feeds included: a byte that `.` left out would slip past a rule that denies.
  const compiled = RE2JS.compile(pattern, RE2JS.DOTALL);
  return (text) => compiled.testExact(text);
}
