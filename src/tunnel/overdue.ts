/** Which streams must end because nothing moves on them: a reader that sleeps, a raw connection that fell silent. Pure. */

import { SkeinError } from '../core/errors.ts';
import type { TunnelOptions } from './options.ts';
import { type MuxStream, STREAM_KIND } from './stream.ts';

/** What to reset `stream` with, or undefined. `isTight`: the process holds much that is unread. */
export function findOverdue(
  stream: MuxStream,
  limits: TunnelOptions,
  isTight: boolean,
  nowMs: number,
): SkeinError | undefined {
  const isUnread = stream.receiveWindow.unread > limits.slowReaderBytes;
  if (isUnread && nowMs - stream.consumedMs > (isTight ? limits.slowReaderTightMs : limits.slowReaderMs)) {
    return new SkeinError('SKEIN_LIMIT', 'Cannot keep stream: its reader made no progress', { notProcessed: false });
  }
  if (stream.kind === STREAM_KIND.raw && nowMs - stream.activeMs > limits.idleRawStreamMs) {
    return new SkeinError('SKEIN_DEADLINE', 'Cannot keep stream: it was idle for too long');
  }
  return undefined;
}
