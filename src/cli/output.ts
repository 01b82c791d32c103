/** What commands print for people and for programs: aligned tables, JSON, colours where a terminal shows them. */

import type { OptionSpec } from './input.ts';

const ESCAPE = '\u001b[';

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const COLOURS: Readonly<Record<Colour, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export type Painter = (colour: Colour, text: string) => string;

export function createPainter(enabled: boolean): Painter {
  return (colour, text) => {
    if (!enabled) return text;
    const [on, off] = COLOURS[colour];
    return `${ESCAPE}${on}m${text}${ESCAPE}${off}m`;
  };
}

/** https://no-color.org: a set NO_COLOR wins, then FORCE_COLOR, then whether a terminal reads. */
export function wantsColour(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  if ((env.NO_COLOR ?? '') !== '') return false;
  if ((env.FORCE_COLOR ?? '') !== '') return true;
  return isTerminal && env.TERM !== 'dumb';
}

/** Columns aligned at their widest cell, titles in upper case, those without any value left out; ends with a line feed. */
export function formatTable(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Painter = createPainter(false),
): string {
  const shown = titles.map((_, i) => i).filter((i) => rows.length === 0 || rows.some((row) => (row[i] ?? '') !== ''));
  const heads = shown.map((i) => (titles[i] ?? '').toUpperCase());
  const cells = rows.map((row) => shown.map((i) => toPrintable(row[i] ?? '')));
  const widths = heads.map((title, i) =>
    Math.max(displayWidth(title), ...cells.map((row) => displayWidth(row[i] ?? ''))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell + ' '.repeat((widths[i] ?? 0) - displayWidth(cell))))
      .join('   ')
      .trimEnd();
  return [paint('bold', line(heads)), ...cells.map(line)].join('\n').concat('\n');
}

/** `-o`: in which of `forms` a command prints. @param fallback the first of them, when silent */
export function outputOption(forms: readonly string[], fallback: string = forms[0] ?? ''): OptionSpec {
  return { flags: '-o, --output <form>', description: 'how to print', choices: forms, fallback, env: false };
}

export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Text of others, safe for a terminal: control characters, which could move the cursor or hide text, become visible. */
export function toPrintable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Columns a text takes; East Asian wide characters take two. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
  return width;
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** "3 s", "4 min", "2 h", "5 d": one unit, rounded down. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}
