/** `Logger` port: one event per line, a name and flat fields. Where the lines go is the edge's affair. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** `event` is a stable kebab-case name ("token-refused"); the fields say the rest. */
  log(level: LogLevel, event: string, fields?: LogFields): void;
}

export const SILENT_LOGGER: Logger = { log: () => undefined };

/** A logger that adds `fields` to each line. */
export function withFields(logger: Logger, fields: LogFields): Logger {
  return { log: (level, event, more) => logger.log(level, event, { ...fields, ...more }) };
}
