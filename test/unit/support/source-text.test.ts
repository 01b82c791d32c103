/** The reader of sources that the architecture rules stand on. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { countCodeLines, importsOf, readSource } from '../../support/source-text.ts';

/** Source text → what is left of it as code; blanks collapsed. */
const CODE: readonly [name: string, text: string, code: string][] = [
  ['a line comment', 'a // b\nc', 'a c'],
  ['a block comment', 'a /* b\n * c */ d', 'a d'],
  ['a comment that never ends', 'a /* b', 'a '],
  ['a string with a comment in it', "a('// b') // c", "a(' ') "],
  ['an escaped quote', "a('\\'b') + c", "a(' ') + c"],
  ['a quote in the other quotes', `a("it's") + 'b'`, `a(" ") + ' '`],
  ['a template', 'a(`b ${c} // d`) + e', 'a(` ${c} `) + e'],
  ['a template in a template', 'a(`b ${c(`d ${e}`)} f`) + g', 'a(` ${c(` ${e}`)} `) + g'],
  ['an object in a template', 'a(`${{ b: 1 }.b} c`) + d', 'a(`${{ b: 1 }.b} `) + d'],
  ['a regular expression with quotes', `a(/['"\`]/g) + b // c`, 'a(/ /g) + b '],
  ['a slash in a character class', 'a = /[/]/ + b', 'a = / / + b'],
  ['a division', 'a / b / c // d', 'a / b / c '],
  ['a symbol beyond the basic plane', "a('𝒳') // b\nc", "a(' ') c"],
];

for (const [name, text, expected] of CODE) {
  test(`readSource() blanks what is no code: ${name}`, () => {
    const { code } = readSource(text);
    equal(code.replace(/\s+/g, ' '), expected);
    equal(code.length, text.length);
  });
}

test('importsOf() finds static, side-effect, dynamic and type imports and re-exports with their lines', () => {
  const text = [
    "import a, { b } from './a.ts'",
    'import {',
    '  c,',
    "} from './c.ts'",
    "import type { D } from './d.ts'",
    "export { e } from './e.ts'",
    "export type * from './f.ts'",
    "import './g.ts'",
    "const h = await import('./h.ts')",
    "type I = import('./i.ts').I",
    "export const j = Array.from('./none.ts')",
    "// import './none.ts'",
    'const k = "import \'./none.ts\'"',
  ].join('\n');
  const found = importsOf(readSource(text)).map(({ specifier, line }) => `${specifier}:${line}`);
  deepEqual(found.sort(), [
    './a.ts:1',
    './c.ts:4',
    './d.ts:5',
    './e.ts:6',
    './f.ts:7',
    './g.ts:8',
    './h.ts:9',
    './i.ts:10',
  ]);
});

test('countCodeLines() counts neither blank lines nor comments', () => {
  equal(countCodeLines(readSource('/** a\n * b */\n\nc()\n// d\ne() // f\n')), 2);
});
