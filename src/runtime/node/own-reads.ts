/**
 * Reads of a socket into memory of ours. `net.connect` offers this as `onread`; a socket that was accepted has the same parts, but
 * no option to set them. Where they are not as known, nothing is changed, and the socket is read as always.
 */

import { Socket } from 'node:net';
import process from 'node:process';
import type { Duplex } from 'node:stream';

interface Slots {
  readonly kBuffer: symbol;
  readonly kBufferGen: symbol;
  readonly kBufferCb: symbol;
}

/** Undefined on runtimes that have other sockets behind the same interface. */
const SLOTS: Slots | undefined = findSlots();

function findSlots(): Slots | undefined {
  if ('bun' in process.versions || 'deno' in process.versions) return undefined;
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const find = (name: string) => symbols.find(({ description }) => description === name);
  const [kBuffer, kBufferGen, kBufferCb] = [find('kBuffer'), find('kBufferGen'), find('kBufferCb')];
  if (kBuffer === undefined || kBufferGen === undefined || kBufferCb === undefined) return undefined;
  return { kBuffer, kBufferGen, kBufferCb };
}

/** Whether `readInto` may be tried with sockets of this kind. */
export function hasOwnReads(socket: Duplex): socket is Socket {
  return SLOTS !== undefined && socket instanceof Socket;
}

/**
 * From now on the kernel writes what comes into `memory`, or into what it gives for each read (undefined: into the same again), and `onRead` is told
 * how many bytes that were.
 * What the socket has read before still comes by its `data` event, and first.
 * @returns whether it will be so
 */
export function readInto(
  socket: Socket,
  memory: Uint8Array | (() => Uint8Array | undefined),
  onRead: (bytes: number) => void,
): boolean {
  const slotted = socket as unknown as Record<symbol, unknown> & {
    readonly _handle?: { useUserBuffer?(buffer: Uint8Array): void } | null;
  };
  const handle = slotted._handle;
  if (SLOTS === undefined || typeof handle?.useUserBuffer !== 'function') return false;
  const isFixed = memory instanceof Uint8Array;
  const first = isFixed ? memory : memory();
  if (first === undefined) return false;
  slotted[SLOTS.kBufferGen] = isFixed ? null : memory;
  slotted[SLOTS.kBufferCb] = (bytes: number): boolean => {
    onRead(bytes);
    return true;
  };
  slotted[SLOTS.kBuffer] = first;
  handle.useUserBuffer(first);
  // One that is paused was read all the same, up to its high water mark; one with a buffer of its own is not.
  if (socket.isPaused()) socket.pause();
  return true;
}
