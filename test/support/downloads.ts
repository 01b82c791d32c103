/** Downloads that are watched: how much has come so far, and whether it was right. */
import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { deterministicDigest } from './deterministic-bytes.ts';
import { type HttpTarget, openRequest } from './load.ts';

export interface DownloadResult {
  readonly bytes: number;
  readonly seconds: number;
  /** All came, and SHA-256 is that of what was sent. */
  readonly isIntact: boolean;
  readonly error?: string;
}

export interface DownloadOptions extends HttpTarget {
  readonly bytes: number;
  /** The origin takes at least so long; 0: as fast as it goes. @default 0 */
  readonly seconds?: number;
}

/** One download, from its request to its last byte. */
export class Download {
  /** Never rejects. */
  readonly done: Promise<DownloadResult>;
  #receivedBytes = 0;

  constructor({ bytes, seconds = 0, ...target }: DownloadOptions) {
    const startedMs = performance.now();
    const hash = createHash('sha256');
    this.done = new Promise((resolve) => {
      const end = (error?: string): void => {
        const isWhole = error === undefined && this.#receivedBytes === bytes;
        resolve({
          bytes: this.#receivedBytes,
          seconds: (performance.now() - startedMs) / 1000,
          isIntact: isWhole && hash.digest('hex') === deterministicDigest(bytes),
          ...(error === undefined ? {} : { error }),
        });
      };
      const path = `/bytes/${bytes}?seconds=${seconds}`;
      const asked = openRequest({ ...target, path, agent: new Agent(), timeoutMs: 120_000 }, (response) => {
        const reason = response.headers['x-skein-reason'] ?? '';
        if (response.statusCode !== 200) return end(`status ${response.statusCode} ${String(reason)}`);
        response.on('data', (chunk: Buffer) => {
          this.#receivedBytes += chunk.length;
          hash.update(chunk);
        });
        response.on('end', () => end());
        response.on('error', (error) => end(error.message));
      });
      asked.on('error', (error) => end(error.message));
      asked.end();
    });
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }
}
