/** A mux stream seen as plain bytes: raw connections and the control stream, which have no heads. */

import type { ByteSink, ByteStream, HeadedStream } from '../core/byte-stream.ts';
import { SkeinError } from '../core/errors.ts';

/** `stream` without its metadata: a peer that sends some breaks the stream. */
export function toRawStream(stream: HeadedStream): ByteStream {
  return {
    attach: (sink: ByteSink) =>
      stream.attach({
        onHead: () => {
          const error = new SkeinError('SKEIN_PROTOCOL', 'Cannot read raw stream: the peer sent a head');
          stream.reset(error);
          sink.onReset(error);
        },
        onData: (chunk) => sink.onData(chunk),
        onEnd: () => sink.onEnd(),
        onDrain: () => sink.onDrain(),
        onReset: (error) => sink.onReset(error),
      }),
    write: (chunk) => stream.write(chunk),
    end: () => stream.end(),
    reset: (error) => stream.reset(error),
    consumed: (bytes) => stream.consumed(bytes),
  };
}
