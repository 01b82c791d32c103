/**
 * Regular expressions that people write in routes, matched in linear time: a pattern can cost a request no more than its own length
 * times that of the text. `RegExp` of the runtime never sees them. Who does it is handed in (`re2.ts`), because it is as large as all
 * the rest of a small member.
 */

import { SkeinError } from '../core/errors.ts';

/** A whole text matches, or it does not. The text holds one character per byte. */
export type TextTest = (text: string) => boolean;

/** What reads regular expressions of RE2. */
export interface RegularExpressions {
  /** What is wrong with `pattern`, or undefined. */
  findFault(pattern: string): string | undefined;
  /** What it says of a text. @throws what is said of a pattern that `findFault` finds fault with */
  compile(pattern: string): TextTest;
}

/** Takes every pattern, and fails each request that would have to be compared with one: nobody knows where it should go. */
export const NO_REGULAR_EXPRESSIONS: RegularExpressions = {
  findFault: () => undefined,
  compile: () => () => {
    const state = 'a regular expression decides, and this member is made without them';
    throw new SkeinError('SKEIN_ROUTE_INVALID', `Cannot route request: ${state}`, {
      details: { remedy: 'Give the member `regularExpressions`: RE2 of skein/re2.' },
    });
  },
};
