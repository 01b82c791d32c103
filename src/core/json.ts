/** JSON that may be none. */

/** The value, or undefined: what somebody else wrote may be anything. */
export function tryParseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
