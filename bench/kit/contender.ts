/** Who is measured: a running pair of proxies in front of the origin, or whatever else answers at an address. */

export interface Contender {
  /** "nginx → nginx TLS" */
  readonly name: string;
  /** What exactly runs. */
  readonly description: string;
  /** How it was configured: command lines, and files where there are some. Nothing is switched off for a bench. */
  readonly configuration: readonly string[];
  /** `host:port` of the first proxy. */
  readonly address: string;
  /** Host field to send. @default the address */
  readonly host?: string;
  /** Processes whose time and memory count, by group; `proxies` are the two that a request passes. */
  pids(): Readonly<Record<string, readonly number[]>>;
}

export interface Running extends Contender {
  close(): Promise<void>;
}
