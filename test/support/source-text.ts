/** Reads TypeScript as text: what is code, what is comment, what a file imports. Enough for rules about words and arrows. */

export interface SourceText {
  /** The text with comments and the insides of strings and regular expressions blanked, line by line as before. */
  readonly code: string;
  /** The text with only the comments blanked. */
  readonly uncommented: string;
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** It is loaded with the file that names it. */
  readonly isEager: boolean;
}

const BEFORE_REGEX = /(?:^|[(,=:[!&|?{;+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|throw|await|yield))\s*$/;

/** Blanks everything that is not code; keeps line breaks, so that positions and line numbers stay. */
export function readSource(text: string): SourceText {
  const code = text.split('');
  const uncommented = text.split('');
  const blank = (target: string[], from: number, to: number): void => {
    for (let i = from; i < to; i++) if (target[i] !== '\n') target[i] = ' ';
  };
  const templates: number[] = [];
  let depth = 0;
  let at = 0;

  /** Skips the literal part of a template from `at`; stops after the closing backtick or the opening `${`. */
  const skipTemplate = (): void => {
    const from = at;
    while (at < code.length && text[at] !== '`' && !(text[at] === '$' && text[at + 1] === '{')) {
      at += text[at] === '\\' ? 2 : 1;
    }
    blank(code, from, at);
    if (text[at] === '`') at += 1;
    else {
      templates.push(depth);
      depth += 1;
      at += 2;
    }
  };

  while (at < text.length) {
    const here = text[at];
    const next = text[at + 1];
    if (here === '/' && (next === '/' || next === '*')) {
      const close = next === '/' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2) + 2;
      const end = close < at + 2 ? text.length : close;
      blank(code, at, end);
      blank(uncommented, at, end);
      at = end;
    } else if (here === '"' || here === "'") {
      const end = endOfLiteral(text, at, here);
      blank(code, at + 1, end - 1);
      at = end;
    } else if (here === '/' && BEFORE_REGEX.test(text.slice(Math.max(0, at - 40), at))) {
      const end = endOfRegex(text, at);
      blank(code, at + 1, end - 1);
      at = end;
    } else if (here === '`') {
      at += 1;
      skipTemplate();
    } else {
      if (here === '{') depth += 1;
      if (here === '}') depth -= 1;
      at += 1;
      if (here === '}' && templates.at(-1) === depth) {
        templates.pop();
        skipTemplate();
      }
    }
  }
  return { code: code.join(''), uncommented: uncommented.join('') };
}

function endOfLiteral(text: string, from: number, quote: string): number {
  let at = from + 1;
  while (at < text.length && text[at] !== quote && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function endOfRegex(text: string, from: number): number {
  let inClass = false;
  let at = from + 1;
  while (at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/')) {
    if (text[at] === '[') inClass = true;
    if (text[at] === ']') inClass = false;
    at += text[at] === '\\' ? 2 : 1;
  }
  return at + 1;
}

const IMPORTS = [
  /\b(?:import|export)\b[^;'"`]*?\bfrom\s*['"]([^'"]+)['"]/g,
  /\bimport\s*['"]([^'"]+)['"]/g,
  /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
];
/** Nothing is loaded for a type, and what is loaded when it is asked for is not loaded at the start. */
const LATER = /^(?:(?:import|export)\s+type\b|import\s*\()/;

/** Every module a file names: static, side-effect, dynamic and type imports and re-exports alike. */
export function importsOf({ code, uncommented }: SourceText): Import[] {
  const found: Import[] = [];
  for (const pattern of IMPORTS) {
    for (const match of uncommented.matchAll(pattern)) {
      const keyword = match[0].slice(0, 6);
      if (code.slice(match.index, match.index + 6) !== keyword) continue;
      const line = lineAt(code, match.index + match[0].length - 1);
      found.push({ specifier: match[1] ?? '', line, isEager: !LATER.test(match[0]) });
    }
  }
  return found;
}

export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** Lines that carry code: neither blank nor comment. */
export function countCodeLines({ uncommented }: SourceText): number {
  return uncommented.split('\n').filter((line) => line.trim() !== '').length;
}
