/** The Cookie field (RFC 6265 §4.2, §5.4), and the making of Set-Cookie. */

import type { Fields } from './head.ts';

/** The value of the first cookie called `name`; cookies may come in several fields (RFC 9113 §8.2.3). */
export function readCookie(fields: Fields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== 'cookie') continue;
    for (const pair of (fields[i + 1] as string).split(';')) {
      const mark = pair.indexOf('=');
      if (mark < 0 || pair.slice(0, mark).trim() !== name) continue;
      const value = pair.slice(mark + 1).trim();
      return value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}

export interface CookieAttributes {
  /** Seconds after which the client forgets it. @default at the end of its session */
  readonly maxAgeS?: number | undefined;
}

/** For the whole site, and for no script: the value means nothing to the application. */
export function formatSetCookie(name: string, value: string, { maxAgeS }: CookieAttributes = {}): string {
  return `${name}=${value}; Path=/; HttpOnly; SameSite=Lax${maxAgeS === undefined ? '' : `; Max-Age=${maxAgeS}`}`;
}
