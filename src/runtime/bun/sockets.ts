/** The sockets of Bun, as far as they are used here: the package has no types of Bun. */

import type { Bytes } from '../../core/bytes.ts';

export interface BunSocket<Data> {
  data: Data;
  readonly remotePort: number;
  /** @returns how many of the bytes the kernel has taken; negative when the connection is over */
  write(bytes: Bytes): number;
  /** FIN. */
  shutdown(): void;
  /** RST. */
  terminate(): void;
  pause(): void;
  resume(): void;
  setNoDelay(isOn: boolean): boolean;
  setKeepAlive(isOn: boolean, initialDelayMs: number): boolean;
}

export interface SocketHandler<Data> {
  readonly binaryType: 'uint8array';
  open(socket: BunSocket<Data>): void;
  /** `chunk` is memory of its own. */
  data(socket: BunSocket<Data>, chunk: Bytes): void;
  /** There is room again. */
  drain(socket: BunSocket<Data>): void;
  /** The peer's FIN; one that answers ours is told by `close` alone. */
  end(socket: BunSocket<Data>): void;
  close(socket: BunSocket<Data>, error?: Error): void;
  /** What a handler has thrown. */
  error(socket: BunSocket<Data>, error: Error): void;
  connectError(socket: BunSocket<Data>, error: Error): void;
}

interface SocketOptions<Data> {
  readonly hostname: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  readonly data?: Data;
  readonly socket: SocketHandler<Data>;
}

export interface BunListener {
  readonly hostname: string;
  readonly port: number;
  getsockname(out: { address?: string; port?: number }): void;
  /** Stops accepting; closes what is open only when told to. */
  stop(closesConnections: boolean): void;
}

interface BunSockets {
  listen<Data>(options: SocketOptions<Data> & { readonly exclusive?: boolean }): BunListener;
  connect<Data>(options: SocketOptions<Data>): Promise<unknown>;
}

/** Only on Bun. */
export function bunSockets(): BunSockets {
  return (globalThis as unknown as { readonly Bun: BunSockets }).Bun;
}
