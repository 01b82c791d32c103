/** Log lines: one per event, readable by programs or people, never a secret. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type LogFormat } from '../../../src/cli/log.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Logger, LogLevel } from '../../../src/core/log.ts';
import { Redacted } from '../../../src/core/redacted.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

function collect(format: LogFormat, level: LogLevel = 'debug'): { lines: string[]; logger: Logger } {
  const lines: string[] = [];
  const logger = createLogger({
    format,
    level,
    clock: new VirtualClock(),
    colour: false,
    write: (line) => lines.push(line),
  });
  return { lines, logger };
}

test('a JSON line holds time, level, event and fields', () => {
  const { lines, logger } = collect('json');
  logger.log('info', 'link-up', { hub: 'wss://hub', rttMs: 12 });
  const [line = ''] = lines;
  ok(line.endsWith('\n'));
  const { time, ...rest } = JSON.parse(line);
  ok(!Number.isNaN(Date.parse(time)));
  deepEqual(rest, { level: 'info', event: 'link-up', hub: 'wss://hub', rttMs: 12 });
});

test('a text line holds level, event and fields; what needs quotes has them', () => {
  const { lines, logger } = collect('text');
  logger.log('warn', 'link-down', { hub: 'wss://hub', why: 'two words', none: undefined, n: 1 });
  ok(lines[0]?.endsWith(' warn  link-down hub=wss://hub why="two words" n=1\n'), lines[0]);
});

test('a line never breaks, whatever a field holds', () => {
  for (const format of ['json', 'text'] as const) {
    const { lines, logger } = collect(format);
    logger.log('info', 'event', { a: 'x\ny', b: ['\n'], c: { d: '\r\n' } });
    equal(lines[0]?.match(/\n/g)?.length, 1);
  }
});

test('events below the level are dropped', () => {
  const { lines, logger } = collect('json', 'warn');
  for (const level of ['debug', 'info', 'warn', 'error'] as const) logger.log(level, level);
  deepEqual(
    lines.map((line) => JSON.parse(line).event),
    ['warn', 'error'],
  );
});

test('secrets do not reach a line, wrapped or by their name', () => {
  for (const format of ['json', 'text'] as const) {
    const { lines, logger } = collect(format);
    logger.log('info', 'event', {
      wrapped: new Redacted('hunter2'),
      text: `before ${'skein_'}${'hunter2'.repeat(8)} after`,
      signed: 'eyJhbGciOiJub25lIn0.eyJodW50ZXIyIn0.aHVudGVyMg',
      error: new Error(`${'skein_'}${'hunter2'.repeat(8)}`),
      admin_token: 'hunter2',
      deep: { secret: 'hunter2', list: [{ authorization: 'hunter2' }] },
    });
    ok(!/hunter2|eyJ/.test(lines[0] ?? ''), lines[0]);
  }
});

test('the id of a token is no secret', () => {
  const { lines, logger } = collect('json');
  logger.log('info', 'token-created', { token: 'Zm9vYmFyYmF6MTIz' });
  equal(JSON.parse(lines[0] ?? '').token, 'Zm9vYmFyYmF6MTIz');
});

test('an error becomes its code and message, with its cause', () => {
  const { lines, logger } = collect('json');
  const cause = new Error('socket closed');
  logger.log('error', 'failed', { error: new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot dial', { cause }) });
  deepEqual(JSON.parse(lines[0] ?? '').error, {
    code: 'SKEIN_HUB_UNREACHABLE',
    message: 'Cannot dial',
    cause: 'socket closed',
  });
});
