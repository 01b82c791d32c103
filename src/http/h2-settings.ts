/** SETTINGS of the other end of an HTTP/2 connection, as far as they matter here (RFC 9113 §6.5.2). */

import type { Bytes } from '../core/bytes.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';
import { H2_MAX_PAYLOAD_BYTES, H2_SETTING } from './h2-frame.ts';
import { H2_MAX_WINDOW_BYTES } from './h2-stream.ts';

export interface H2Settings {
  /** Streams that this end may have open at once. */
  readonly maxStreams?: number;
  /** What may be sent on each stream before the other end grants more. */
  readonly windowBytes?: number;
}

const ENTRY_BYTES = 6;
const MAX_FRAME_SIZE = 0xffffff;

/** @param isFromClient only a client may be willing to take a push @throws H2Violation */
export function parseH2Settings(payload: Bytes, isFromClient: boolean): H2Settings {
  if (payload.length % ENTRY_BYTES !== 0) {
    throw new H2Violation(H2_CODE.frameSizeError, 'Cannot read SETTINGS: its size is wrong');
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  let settings: H2Settings = {};
  for (let at = 0; at < payload.length; at += ENTRY_BYTES) {
    const id = view.getUint16(at);
    const value = view.getUint32(at + 2);
    const isPush = id === H2_SETTING.enablePush && value > (isFromClient ? 1 : 0);
    const isFrame = id === H2_SETTING.maxFrameSize && (value < H2_MAX_PAYLOAD_BYTES || value > MAX_FRAME_SIZE);
    if (isPush || isFrame) {
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read SETTINGS: a value that is not allowed');
    }
    if (id === H2_SETTING.initialWindowSize && value > H2_MAX_WINDOW_BYTES) {
      throw new H2Violation(H2_CODE.flowControlError, 'Cannot read SETTINGS: the window is too large');
    }
    if (id === H2_SETTING.maxConcurrentStreams) settings = { ...settings, maxStreams: value };
    if (id === H2_SETTING.initialWindowSize) settings = { ...settings, windowBytes: value };
  }
  return settings;
}
