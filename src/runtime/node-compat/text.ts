/** Latin-1 text by the runtime's own decoder. */

import { Buffer } from 'node:buffer';
import type { DecodeLatin1 } from '../../core/text.ts';

export const nodeDecodeLatin1: DecodeLatin1 = (bytes, start, end) =>
  Buffer.prototype.latin1Slice.call(bytes, start, end);
