/** Bytes that do not compress and are the same everywhere: AES-CTR of zeros under a fixed key, made as they are read. */
import { createCipheriv, createHash } from 'node:crypto';
import { Readable } from 'node:stream';

const ZEROS = Buffer.alloc(256 * 1024);
const PACED_CHUNK_BYTES = 32 * 1024;

export function* deterministicChunks(totalBytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  for (let left = totalBytes; left > 0; left -= ZEROS.length) {
    yield cipher.update(left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS);
  }
}

export function deterministicStream(totalBytes: number): Readable {
  return Readable.from(deterministicChunks(totalBytes), { objectMode: false, highWaterMark: 1024 * 1024 });
}

/** The same bytes, no faster than all of them in `durationMs`; who was held up may catch up. */
export function pacedStream(totalBytes: number, durationMs: number): Readable {
  return Readable.from(pacedChunks(totalBytes, durationMs), { objectMode: false, highWaterMark: PACED_CHUNK_BYTES });
}

async function* pacedChunks(totalBytes: number, durationMs: number): AsyncGenerator<Buffer> {
  const startedMs = performance.now();
  let sentBytes = 0;
  for (const chunk of deterministicChunks(totalBytes)) {
    for (let at = 0; at < chunk.length; at += PACED_CHUNK_BYTES) {
      const piece = chunk.subarray(at, at + PACED_CHUNK_BYTES);
      sentBytes += piece.length;
      const earlyMs = startedMs + (durationMs * sentBytes) / totalBytes - performance.now();
      if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs));
      yield piece;
    }
  }
}

/** SHA-256 in hex of what `deterministicStream` gives. */
export function deterministicDigest(totalBytes: number): string {
  const hash = createHash('sha256');
  for (const chunk of deterministicChunks(totalBytes)) hash.update(chunk);
  return hash.digest('hex');
}
