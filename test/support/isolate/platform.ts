/** In the place of what is Node's own inside an isolate: suites that only take what a platform lends find workerd's, and files in memory. */

import type { Platform } from '../../../src/core/platform.ts';
import { workerdPlatform } from '../../../src/runtime/workerd/platform.ts';
import { MemoryFiles } from '../../../src/testing/memory-files.ts';

const files = new MemoryFiles();
let folders = 0;

export const nodePlatform = (): Platform => workerdPlatform(files);

export const folder = (): string => `/folder-${++folders}`;
