/** `Logger` port: one event per line, a name and flat fields. Where the lines go is the edge's affair. */

/** How much an event matters, the least first. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What a line says beside its event: flat JSON values, no secrets. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Takes what is to be logged; it must not throw, and nobody waits for it. */
export interface Logger {
  /** `event` is a stable kebab-case name ("token-refused"); the fields say the rest. */
  log(level: LogLevel, event: string, fields?: LogFields): void;
}

export const SILENT_LOGGER: Logger = { log: () => undefined };
