/** The tables of HPACK (RFC 7541 §2.3): the static one of Appendix A, and the dynamic one that a decoder keeps. */

export interface HpackEntry {
  readonly name: string;
  readonly value: string;
}

/** Index 1 is the first; `name` alone where the value is empty. */
const STATIC_TEXT = [
  ':authority',
  ':method GET',
  ':method POST',
  ':path /',
  ':path /index.html',
  ':scheme http',
  ':scheme https',
  ':status 200',
  ':status 204',
  ':status 206',
  ':status 304',
  ':status 400',
  ':status 404',
  ':status 500',
  'accept-charset',
  'accept-encoding gzip, deflate',
  'accept-language',
  'accept-ranges',
  'accept',
  'access-control-allow-origin',
  'age',
  'allow',
  'authorization',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expect',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'link',
  'location',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'referer',
  'refresh',
  'retry-after',
  'server',
  'set-cookie',
  'strict-transport-security',
  'transfer-encoding',
  'user-agent',
  'vary',
  'via',
  'www-authenticate',
] as const;

export const STATIC_ENTRIES: readonly HpackEntry[] = STATIC_TEXT.map((text) => {
  const blank = text.indexOf(' ');
  return blank < 0 ? { name: text, value: '' } : { name: text.slice(0, blank), value: text.slice(blank + 1) };
});

/** What an entry counts beside its bytes (RFC 7541 §4.1). */
const ENTRY_OVERHEAD_BYTES = 32;

export function hpackSize({ name, value }: HpackEntry): number {
  return name.length + value.length + ENTRY_OVERHEAD_BYTES;
}

/** The dynamic table: the newest entry first, never larger than its limit. */
export class HpackTable {
  readonly #entries: HpackEntry[] = [];
  #bytes = 0;
  #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** By the index of the wire, static entries first; undefined when there is none. */
  at(index: number): HpackEntry | undefined {
    if (index <= STATIC_ENTRIES.length) return STATIC_ENTRIES[index - 1];
    return this.#entries[index - STATIC_ENTRIES.length - 1];
  }

  add(entry: HpackEntry): void {
    const bytes = hpackSize(entry);
    this.#shrinkTo(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return; // it empties the table, and is no error (§4.4)
    this.#entries.unshift(entry);
    this.#bytes += bytes;
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#shrinkTo(maxBytes);
  }

  #shrinkTo(bytes: number): void {
    while (this.#bytes > bytes) {
      const last = this.#entries.pop();
      if (last === undefined) return;
      this.#bytes -= hpackSize(last);
    }
  }
}
