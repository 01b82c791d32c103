/** Looks for byte strings in the memory of another process, through /proc. Linux; the process must be our child or we root. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const CHUNK_BYTES = 8 * 1024 * 1024;

/**
 * How often each text stands in the readable memory of a process, in any form a JavaScript engine keeps strings in:
 * one byte per character, or two.
 */
export function countInMemory(pid: number, texts: readonly string[]): Map<string, number> {
  const needles = texts.flatMap((text) => [
    { text, bytes: Buffer.from(text, 'latin1') },
    { text, bytes: Buffer.from(text, 'utf16le') },
  ]);
  const counts = new Map(texts.map((text) => [text, 0]));
  const overlap = Math.max(...needles.map(({ bytes }) => bytes.length)) - 1;
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  let scannedBytes = 0;
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (const { start, end } of readableRegions(pid)) {
      for (let at = start; at < end; at += BigInt(CHUNK_BYTES - overlap)) {
        const length = Number(end - at < BigInt(CHUNK_BYTES) ? end - at : BigInt(CHUNK_BYTES));
        let read: number;
        try {
          read = readSync(memory, buffer, 0, length, at);
        } catch {
          // Reserved but not mapped, or a device page such as [vvar].
          break;
        }
        scannedBytes += read;
        const chunk = buffer.subarray(0, read);
        const isLast = at + BigInt(length) >= end;
        for (const { text, bytes } of needles) {
          for (let found = chunk.indexOf(bytes); found >= 0; found = chunk.indexOf(bytes, found + 1)) {
            // Hits that lie wholly in the overlap are seen again with the next chunk.
            if (isLast || found < CHUNK_BYTES - overlap) counts.set(text, (counts.get(text) ?? 0) + 1);
          }
        }
        if (isLast) break;
      }
    }
  } finally {
    closeSync(memory);
  }
  if (scannedBytes === 0) throw new Error(`Cannot scan process ${pid}: nothing was readable`);
  return counts;
}

function readableRegions(pid: number): { start: bigint; end: bigint }[] {
  return readFileSync(`/proc/${pid}/maps`, 'latin1')
    .split('\n')
    .flatMap((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line);
      return match === null ? [] : [{ start: BigInt(`0x${match[1]}`), end: BigInt(`0x${match[2]}`) }];
    });
}
