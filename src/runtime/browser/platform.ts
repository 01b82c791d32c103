/** `browserPlatform`: what a page or a worker of a browser lends the neutral world; it dials, and keeps keys, and nothing else. */

import type { Platform } from '../../core/platform.ts';
import { decodeLatin1 } from '../../core/text.ts';
import { getDocument } from '../common/document.ts';
import { createBrowserClock } from './clock.ts';
import { browserCrypto } from './crypto.ts';
import { browserRandom } from './random.ts';
import { openVault } from './vault.ts';
import { createWebSocketDialler } from './websocket.ts';

/** One for each page or worker, whose members share it. */
export function browserPlatform(): Platform {
  const clock = createBrowserClock();
  return {
    name: browserName(),
    clock,
    random: browserRandom,
    crypto: browserCrypto,
    decodeLatin1,
    dialWebSocket: createWebSocketDialler(clock),
    getDocument,
    files: undefined,
    openVault,
    listenHttp: undefined,
    listenTcp: undefined,
    bindUdp: undefined,
    connectTcp: undefined,
    directSockets: undefined,
  };
}

/** The last product of the user agent that is no word of compatibility: "chromium 156", "firefox 140". */
function browserName(): string {
  const [, name, version] = /\b(Edg|Chrome|Firefox|Version)\/(\d+)/.exec(navigator.userAgent) ?? [];
  return name === undefined ? 'browser' : `${name === 'Version' ? 'safari' : name.toLowerCase()} ${version}`;
}
