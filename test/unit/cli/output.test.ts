/** Tables, colours and text of others on a terminal. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { createPainter, formatAge, formatTable, toPrintable, wantsColour } from '../../../src/cli/output.ts';

test('formatTable aligns columns and leaves no blanks at line ends', () => {
  equal(
    formatTable(
      ['service', 'endpoints', 'note'],
      [
        ['api.default', '2', ''],
        ['a-long-name.shop', '10', 'x'],
      ],
    ),
    ['SERVICE            ENDPOINTS   NOTE', 'api.default        2', 'a-long-name.shop   10          x', ''].join('\n'),
  );
});

test('formatTable counts wide characters as two columns', () => {
  equal(
    formatTable(
      ['a', 'b'],
      [
        ['服务', '1'],
        ['xx', '2'],
      ],
    ),
    'A      B\n服务   1\nxx     2\n',
  );
});

test('formatTable leaves out columns in which no row has a value', () => {
  const rows = [
    ['a', '', '1', ''],
    ['b', '', '', ''],
  ];
  equal(formatTable(['name', 'zone', 'port', 'labels'], rows), 'NAME   PORT\na      1\nb\n');
});

test('formatTable without rows prints its titles', () => {
  equal(formatTable(['name'], []), 'NAME\n');
});

test('toPrintable shows what could move the cursor or hide text', () => {
  equal(toPrintable('a\u001b[2Jb\nc\u202ed'), 'a\\u001b[2Jb\\u000ac\\u202ed');
  equal(toPrintable('größe 服务'), 'größe 服务');
});

test('colours are written only when asked for', () => {
  equal(createPainter(false)('red', 'x'), 'x');
  equal(createPainter(true)('red', 'x'), '\u001b[31mx\u001b[39m');
});

const colourCases: readonly [terminal: boolean, env: Record<string, string>, wanted: boolean][] = [
  [true, {}, true],
  [false, {}, false],
  [true, { NO_COLOR: '1' }, false],
  [false, { FORCE_COLOR: '1' }, true],
  [true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  [true, { TERM: 'dumb' }, false],
  [true, { NO_COLOR: '' }, true],
];
for (const [terminal, env, wanted] of colourCases) {
  test(`wantsColour on ${terminal ? 'a terminal' : 'a pipe'} with ${JSON.stringify(env)} is ${wanted}`, () => {
    equal(wantsColour(terminal, env), wanted);
  });
}

test('formatAge speaks in one unit', () => {
  const minute = 60_000;
  equal(formatAge(-5), '0 s');
  equal(formatAge(119_999), '119 s');
  equal(formatAge(2 * minute), '2 min');
  equal(formatAge(119 * minute), '119 min');
  equal(formatAge(120 * minute), '2 h');
  equal(formatAge(48 * 60 * minute), '2 d');
});
