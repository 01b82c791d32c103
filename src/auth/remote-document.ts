/**
 * A JSON document of somebody else's server, kept: asked for again when it has aged or lacks what is looked for, and used for
 * a bounded time while the server is away.
 */

import { decodeUtf8 } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { mayLeadTo } from '../core/safe-url.ts';
import { parseStrictJson } from './strict-json.ts';

export interface RemoteDocumentOptions<T> {
  readonly platform: Pick<Platform, 'clock' | 'getDocument'>;
  readonly log: Logger;
  /** What it is, for logs. */
  readonly name: string;
  /** Gets and reads it anew. @throws SkeinError */
  readonly load: () => Promise<T>;
}

/** After so long a document is asked for again by the next who needs it. */
const FRESH_MS = 300_000;
/** For so long it is used while its server does not answer. */
const STALE_MS = 3_600_000;
/** Between two questions: strangers decide how often something is looked for that is not there. */
const AGAIN_MS = 30_000;
/** The same while nothing is kept: whoever waits for it gets nothing until then. */
const FIRST_AGAIN_MS = 5_000;

export class RemoteDocument<T> {
  readonly #options: RemoteDocumentOptions<T>;
  #kept: { readonly value: T; readonly atMs: number } | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(options: RemoteDocumentOptions<T>) {
    this.#options = options;
  }

  /**
   * The document, if it can be had. `suffices` says whether it holds what is looked for; if it does not, it is asked for again,
   * but not more often than every 30 s.
   */
  async get(suffices: (value: T) => boolean): Promise<T | undefined> {
    const { clock } = this.#options.platform;
    const isGood = (): boolean => {
      const ageMs = clock.monotonicMs() - (this.#kept?.atMs ?? Number.NEGATIVE_INFINITY);
      return this.#kept !== undefined && ageMs < FRESH_MS && suffices(this.#kept.value);
    };
    if (!isGood()) await this.refresh();
    if (this.#kept === undefined || clock.monotonicMs() - this.#kept.atMs >= STALE_MS) return undefined;
    return this.#kept.value;
  }

  /** Asks, unless that was done just now; one question at a time. Never rejects. */
  async refresh(): Promise<void> {
    const { clock } = this.#options.platform;
    if (this.#asking === undefined) {
      const againMs = this.#kept === undefined ? FIRST_AGAIN_MS : AGAIN_MS;
      if (clock.monotonicMs() - this.#askedAtMs < againMs) return;
      this.#askedAtMs = clock.monotonicMs();
      this.#asking = this.#ask().finally(() => {
        this.#asking = undefined;
      });
    }
    await this.#asking;
  }

  async #ask(): Promise<void> {
    const { platform, log, name, load } = this.#options;
    try {
      this.#kept = { value: await load(), atMs: platform.clock.monotonicMs() };
      log.log('debug', 'document-fetched', { name });
    } catch (thrown) {
      const { message, details } = toSkeinError(thrown);
      log.log('warn', 'document-not-fetched', { name, error: message, ...details });
    }
  }
}

const MAX_DOCUMENT_BYTES = 512 * 1024;
const MAX_DEPTH = 16;

const TEMPORARY = new Set([302, 303, 307]);

/**
 * GET of a JSON document.
 * @param redirects temporary ones that are followed, each to where a document from there may lead
 * @throws SkeinError SKEIN_PEER_UNREACHABLE, SKEIN_PROTOCOL
 */
export async function getJson(
  platform: Pick<Platform, 'getDocument'>,
  url: string,
  timeoutMs: number,
  redirects = 0,
): Promise<Readonly<Record<string, unknown>>> {
  const { status, body, location } = await platform.getDocument(url, { maxBytes: MAX_DOCUMENT_BYTES, timeoutMs });
  if (redirects > 0 && TEMPORARY.has(status) && location !== undefined && URL.canParse(location, url)) {
    const next = new URL(location, url).href;
    if (mayLeadTo(url, next)) return getJson(platform, next, timeoutMs, redirects - 1);
  }
  if (status !== 200) throw unusable(url, `it was answered with ${status}`);
  let value: unknown;
  try {
    value = parseStrictJson(decodeUtf8(body), MAX_DEPTH);
  } catch {
    throw unusable(url, 'it is no JSON, or tells a member twice');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unusable(url, 'it is no object');
  return value as Record<string, unknown>;
}

function unusable(url: string, state: string): SkeinError {
  return new SkeinError('SKEIN_PROTOCOL', `Cannot use document: ${state}`, { details: { url } });
}
