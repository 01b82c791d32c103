/**
 * Large buffers that are needed for a moment, and for which Node has no way to use the same memory again. V8 counts them as memory outside
 * of its heap, and marks all of the heap for every 10 to 17 MB of them: 60 to 120 times for each GiB that a sidecar carries, with pauses of 10 to 40 ms,
 * and without them the GiB cost 0.69 of the time (docs/performance.md). So they are freed at once where nobody else can have them. Where somebody may, the young
 * generation, in which they all die, is collected before V8 thinks of all of the heap. Only in a process that is skein's own (docs/decisions/0031).
 */

/** Smaller ones come with so many other objects that the young are collected often enough. */
const LARGE_BYTES = 16 * 1024;
/** After so many, the young are collected: 128 times for each GiB, 0.2 ms each where little lives and no other process waits for a core. */
const COLLECTION_BYTES = 8 * 1024 * 1024;

interface Tools {
  /** `ArrayBuffer.prototype.transfer`: moved into a buffer of no bytes, the memory is free. */
  readonly transfer: (this: ArrayBufferLike, bytes: number) => unknown;
  readonly gc: (options: { readonly type: 'minor' }) => void;
}

/** Undefined before the first large buffer; null on other runtimes, which free theirs in another way, and in processes of others. */
let tools: Tools | null | undefined = null;
let freshBytes = 0;

/** From now on. It takes flags of V8, so whoever has this process must agree. */
export function freeLargeBuffersEarly(): void {
  tools = undefined;
}

/** `bytes` is all that there is of its buffer, and nobody reads it any more, the caller neither. */
export function freeBuffer({ buffer, byteLength }: Uint8Array): void {
  if (byteLength < LARGE_BYTES || buffer.byteLength !== byteLength) return;
  if (tools === undefined) tools = findTools();
  tools?.transfer.call(buffer, 0);
}

/** A buffer of `bytes` was made, which somebody may keep. */
export function noteFreshBuffer(bytes: number): void {
  if (bytes < LARGE_BYTES) return;
  freshBytes += bytes;
  if (freshBytes < COLLECTION_BYTES) return;
  freshBytes = 0;
  if (tools === undefined) tools = findTools();
  tools?.gc({ type: 'minor' });
}

function findTools(): Tools | null {
  const { process } = globalThis;
  if (process?.versions?.v8 === undefined || 'bun' in process.versions || 'deno' in process.versions) return null;
  // Not imported: in an isolate there is neither.
  const v8 = process.getBuiltinModule?.('node:v8');
  const vm = process.getBuiltinModule?.('node:vm');
  if (v8 === undefined || vm === undefined) return null;
  // Flags are read when a context is made, and this one is never seen by anybody. `transfer` is every context's own from Node 22 on.
  const flags = ['expose-gc', ...('transfer' in ArrayBuffer.prototype ? [] : ['harmony-rab-gsab-transfer'])];
  for (const flag of flags) v8.setFlagsFromString(`--${flag}`);
  const { gc, transfer } = vm.runInNewContext('({ gc: globalThis.gc, transfer: ArrayBuffer.prototype.transfer })');
  for (const flag of flags) v8.setFlagsFromString(`--no-${flag}`);
  // A thread would free what a collection has found, and V8 would count it until the next one.
  v8.setFlagsFromString('--no-concurrent-array-buffer-sweeping');
  return typeof gc === 'function' && typeof transfer === 'function' ? { gc, transfer } : null;
}
