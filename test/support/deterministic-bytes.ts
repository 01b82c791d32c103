/** Bytes that do not compress and are the same everywhere: AES-CTR of zeros under a fixed key, made as they are read. */
import { createCipheriv, createHash } from 'node:crypto';
import { Readable } from 'node:stream';

const ZEROS = Buffer.alloc(256 * 1024);

export function* deterministicChunks(totalBytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  for (let left = totalBytes; left > 0; left -= ZEROS.length) {
    yield cipher.update(left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS);
  }
}

export function deterministicStream(totalBytes: number): Readable {
  return Readable.from(deterministicChunks(totalBytes), { objectMode: false, highWaterMark: 1024 * 1024 });
}

/** SHA-256 in hex of what `deterministicStream` gives. */
export function deterministicDigest(totalBytes: number): string {
  const hash = createHash('sha256');
  for (const chunk of deterministicChunks(totalBytes)) hash.update(chunk);
  return hash.digest('hex');
}
