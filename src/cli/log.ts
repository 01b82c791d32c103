/** The `Logger` of the command line: one line per event on stderr, as JSON or as text; secrets never get there. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { LogFields, Logger, LogLevel } from '../core/log.ts';
import { type Colour, createPainter, toPrintable } from './output.ts';

export type LogFormat = 'json' | 'text';

export interface LoggerOptions {
  readonly format: LogFormat;
  /** Events below it are dropped. */
  readonly level: LogLevel;
  readonly clock: Clock;
  readonly colour: boolean;
  /** Takes one whole line with its line feed. */
  readonly write: (line: string) => void;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const LEVEL_COLOUR: Readonly<Record<LogLevel, Colour>> = {
  debug: 'dim',
  info: 'green',
  warn: 'yellow',
  error: 'red',
};

/** Fields whose names announce a secret. A second fence: callers already wrap secrets in `Redacted`. */
const SECRET_NAME = /^(?:.*_)?(?:secret|password|authorization|privatekey|wit|jwt)$|.[_-]?token$/i;
/** Join tokens and signed tokens, wherever in a text they are. `token` alone names the id of one, which is no secret. */
const SECRET_VALUE = /\bskein_[\w-]{24,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const REDACTED = '[redacted]';

export function createLogger(options: LoggerOptions): Logger {
  const paint = createPainter(options.colour);
  const toLine = options.format === 'json' ? toJsonLine : (...args: LineArguments) => toTextLine(paint, ...args);
  return {
    log(level, event, fields = {}) {
      if (RANK[level] < RANK[options.level]) return;
      options.write(toLine(new Date(options.clock.epochMs()), level, event, fields));
    },
  };
}

type LineArguments = [at: Date, level: LogLevel, event: string, fields: LogFields];

function toJsonLine(...[at, level, event, fields]: LineArguments): string {
  return `${JSON.stringify({ time: at.toISOString(), level, event, ...fields }, replaceUnprintable)}\n`;
}

function toTextLine(paint: ReturnType<typeof createPainter>, ...[at, level, event, fields]: LineArguments): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${paint('dim', `${name}=`)}${toText(name, value)}`);
  const time = paint('dim', at.toISOString().slice(11, 23));
  return `${time} ${paint(LEVEL_COLOUR[level], level.padEnd(5))} ${event}${pairs.join('')}\n`;
}

function toText(name: string, value: unknown): string {
  const plain = replaceUnprintable(name, value);
  if (typeof plain === 'string') return /^[^\s"=]+$/.test(plain) ? toPrintable(plain) : JSON.stringify(plain);
  return JSON.stringify(plain, replaceUnprintable) ?? 'undefined';
}

/** JSON's replacer: errors become their code and message, big numbers text, secrets nothing. */
function replaceUnprintable(name: string, value: unknown): unknown {
  if (typeof value === 'string') return SECRET_NAME.test(name) ? REDACTED : redact(value);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof SkeinError) {
    return {
      code: value.code,
      message: value.message,
      ...(value.cause === undefined ? {} : { cause: value.cause }),
    };
  }
  if (value instanceof Error) return redact(value.message);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value;
}

/** The text without the tokens in it. */
export function redact(text: string): string {
  return text.replace(SECRET_VALUE, REDACTED);
}
