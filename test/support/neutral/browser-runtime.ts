/** The parts of a browser under the names of Node's, in whose place they stand when a suite runs there; files are in memory. */
import type { Platform } from '../../../src/core/platform.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { createBrowserClock } from '../../../src/runtime/browser/clock.ts';
import { browserCrypto } from '../../../src/runtime/browser/crypto.ts';
import { browserPlatform } from '../../../src/runtime/browser/platform.ts';
import { browserRandom } from '../../../src/runtime/browser/random.ts';
import { MemoryFiles } from '../../../src/testing/memory-files.ts';

export const createNodeClock = createBrowserClock;
export const nodeCrypto = browserCrypto;
export const nodeDecodeLatin1 = decodeLatin1;
export const nodeRandom = browserRandom;
/** Buffers are the browser's affair. */
export const noteFreshBuffer = (): void => undefined;
export const freeLargeBuffersEarly = (): void => undefined;

const files = new MemoryFiles();
let folders = 0;

export const nodePlatform = (): Platform => ({ ...browserPlatform(), files });

export const folder = (): string => `/folder-${++folders}`;
