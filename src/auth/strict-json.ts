/** JSON for tokens: a duplicate member is refused, because two readers could each believe another one (RFC 8259 §4). */

/**
 * @param maxDepth nesting that is still read
 * @throws SyntaxError on malformed text, a duplicate member or too much nesting
 */
export function parseStrictJson(text: string, maxDepth = 8): unknown {
  const value: unknown = JSON.parse(text);
  checkMembers(text, maxDepth);
  return value;
}

/** Walks text that is known to be JSON and keeps the member names of the open objects. */
function checkMembers(text: string, maxDepth: number): void {
  const open: (Set<string> | undefined)[] = [];
  let expectsName = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{' || char === '[') {
      if (open.length >= maxDepth) throw new SyntaxError('Cannot read JSON: too deeply nested');
      open.push(char === '{' ? new Set() : undefined);
      expectsName = char === '{';
    } else if (char === '}' || char === ']') {
      open.pop();
      expectsName = false;
    } else if (char === ',') {
      expectsName = open[open.length - 1] !== undefined;
    } else if (char === '"') {
      const end = endOfString(text, i);
      const names = open[open.length - 1];
      if (expectsName && names !== undefined) {
        const name = JSON.parse(text.slice(i, end + 1)) as string;
        if (names.has(name)) throw new SyntaxError('Cannot read JSON: a member is repeated');
        names.add(name);
        expectsName = false;
      }
      i = end;
    }
  }
}

function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}
