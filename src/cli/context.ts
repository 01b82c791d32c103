/** What a running command may use: the platform, the process, its input, and ways to say something. */

import type { Logger, LogLevel } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { ProcessPort } from '../core/process.ts';
import type { Input } from './input.ts';
import type { LogFormat } from './log.ts';
import type { Painter } from './output.ts';

export interface CommandContext {
  readonly platform: Platform;
  readonly process: ProcessPort;
  readonly input: Input;
  readonly logger: Logger;
  readonly logFormat: LogFormat;
  /** The least important events that are logged. */
  readonly logLevel: LogLevel;
  /** Version of skein. */
  readonly version: string;
  /** Paints what goes to stdout. */
  readonly paint: Painter;
  /** Prints a result. */
  print(text: string): Promise<void>;
  /** Tells the person something that is no result: on stderr, and not when the log is JSON. */
  say(text: string): void;
}
