/** The application behind every proxy: an nginx of its own that answers 100 bytes, and has a large file. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Nginx } from '../../test/support/nginx.ts';
import { freePort } from '../../test/support/port.ts';

/** What P5 and P6 download. */
export const LARGE_BYTES = 64 * 1024 * 1024;
/** For streams that shall go on while something else is measured: nobody comes to its end. */
const ENDLESS_BYTES = 64 * 1024 * 1024 * 1024;

export class Origin {
  /** `host:port` */
  readonly address: string;
  readonly #nginx: Nginx;
  readonly #folder: string;

  private constructor(address: string, nginx: Nginx, folder: string) {
    this.address = address;
    this.#nginx = nginx;
    this.#folder = folder;
  }

  static async start(): Promise<Origin> {
    const folder = mkdtempSync(join(tmpdir(), 'skein-bench-'));
    writeFileSync(join(folder, 'large'), Buffer.alloc(LARGE_BYTES, 'skein'));
    writeFileSync(join(folder, 'endless'), '');
    truncateSync(join(folder, 'endless'), ENDLESS_BYTES); // sparse: takes no room
    const address = `127.0.0.1:${await freePort()}`;
    const http = `sendfile on; keepalive_requests 1000000000;
  server {
    listen ${address};
    default_type text/plain;
    location / { return 200 "${'skein'.repeat(20)}"; }
    location = /large { alias ${join(folder, 'large')}; }
    location = /endless { alias ${join(folder, 'endless')}; }
  }`;
    return new Origin(address, await Nginx.start({ http }), folder);
  }

  async close(): Promise<void> {
    await this.#nginx.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
