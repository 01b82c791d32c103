/** An answer on its way to stdout or a file, chunk by chunk. */

import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SkeinError } from '../core/errors.ts';
import type { CommandContext } from './context.ts';

export interface ResponseWriterOptions {
  /** Status line and fields before the body. */
  readonly include: boolean;
  /** Takes the body instead of stdout. */
  readonly file: string | undefined;
}

export class ResponseWriter {
  readonly #context: CommandContext;
  readonly #options: ResponseWriterOptions;

  constructor(context: CommandContext, options: ResponseWriterOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** Resolves when the body is whole, or nobody reads it any more. @throws what breaks the body off */
  async write(response: Response): Promise<void> {
    const { process } = this.#context;
    if (this.#options.include) await process.stdout.write(formatHead(response));
    if (response.body === null) return;
    const { file } = this.#options;
    if (file === undefined) {
      await pump(response.body, (chunk) => process.stdout.write(chunk));
      return;
    }
    const path = resolve(process.workFolder, file);
    const handle = await open(path, 'w').catch((cause: unknown) => {
      throw new SkeinError(
        'SKEIN_CONFIG',
        `Cannot write "${path}": ${cause instanceof Error ? cause.message : cause}`,
        { cause },
      );
    });
    try {
      await pump(response.body, async (chunk) => {
        await handle.writeFile(chunk);
        return true;
      });
    } finally {
      await handle.close();
    }
  }
}

/** Bytes as they came: fields hold one character per byte. */
function formatHead(response: Response): Uint8Array {
  const fields = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`);
  const text = `HTTP/1.1 ${response.status} ${response.statusText}`.trimEnd();
  return Uint8Array.from(`${text}\r\n${fields.join('')}\r\n`, (character) => character.charCodeAt(0));
}

async function pump(body: ReadableStream<Uint8Array>, write: (chunk: Uint8Array) => Promise<boolean>): Promise<void> {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (await write(value)) continue;
    await reader.cancel();
    return;
  }
}
