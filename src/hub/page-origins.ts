/** Which pages may be members: browsers name the origin of the page that dials, and nobody else names one. */

import { SkeinError } from '../core/errors.ts';
import { isAskedByPage } from '../core/page.ts';
import type { UpgradeRefusal, UpgradeRequest } from '../core/platform.ts';

/** Pages of every origin. */
const ANY = '*';

/**
 * Refuses links that pages of other origins open: of pages that have no business here, none should use up the hub's time for
 * strangers, or find out what there is behind a firewall. It lets nobody in: a link proves itself in its handshake, and a page
 * brings along nothing that it does not hold itself. `Host` is not asked for: a proxy on this machine hands on the name under
 * which it is known.
 * @param allowed origins as browsers write them, or "*"
 * @throws SkeinError SKEIN_CONFIG
 */
export function createUpgradeGuard(allowed: readonly string[]): (asked: UpgradeRequest) => UpgradeRefusal | undefined {
  for (const origin of allowed) checkOrigin(origin);
  const isAny = allowed.includes(ANY);
  const origins = new Set(allowed);
  return ({ field }) => {
    if (!isAskedByPage(field)) return undefined;
    const origin = field('origin');
    return origin !== undefined && (isAny || origins.has(origin)) ? undefined : { status: 403 };
  };
}

function checkOrigin(text: string): void {
  const isOrigin = /^https?:\/\/[^/]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
  if (isOrigin || text === ANY) return;
  throw new SkeinError(
    'SKEIN_CONFIG',
    `Cannot let in pages of "${text}": expected an origin such as https://shop.example.com, or *`,
  );
}
