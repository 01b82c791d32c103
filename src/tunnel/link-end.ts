/** How links end. */

import { SkeinError } from '../core/errors.ts';

/**
 * Why a link is over. `closed`, `left`: the other end, or this one, has said so. `cut`: the connection ended without a word.
 * `silent`, `stalled`: nothing came, or nothing would go, for too long. `protocol`: the other end broke a rule.
 */
export const LINK_ENDS = ['closed', 'left', 'cut', 'silent', 'stalled', 'protocol'] as const;
export type LinkEnd = (typeof LINK_ENDS)[number];

/** What a WebSocket says that ended without a close message (RFC 6455 §7.4.1). */
const ABNORMAL = 1006;

/** What the end of its WebSocket means for a link. */
export function toLinkEnd(code: number): LinkEnd {
  return code === ABNORMAL ? 'cut' : 'closed';
}

export function closeError(code: number, reason: string): SkeinError {
  return new SkeinError(
    'SKEIN_HUB_UNREACHABLE',
    `Cannot use link: the WebSocket closed (${code}${reason === '' ? '' : ` ${reason}`})`,
    {
      details: { code, reason },
    },
  );
}
