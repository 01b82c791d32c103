/** `Logger` port: one event per line, a name and flat fields. Where the lines go is the edge's affair. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** `event` is a stable kebab-case name ("token-refused"); the fields say the rest. */
  log(level: LogLevel, event: string, fields?: LogFields): void;
}

export const SILENT_LOGGER: Logger = { log: () => undefined };
