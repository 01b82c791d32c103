/** Bytes that say where they belong: what was lost, doubled or moved on the way shows. */

const PERIOD = 251;

export function patternFrom(offset, length) {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (offset + i) % PERIOD;
  return bytes;
}

/** Takes bytes as they come and counts those that stand in their place. */
export class PatternCheck {
  bytes = 0;
  isWhole = true;

  take(chunk) {
    for (let i = 0; i < chunk.length; i++) this.isWhole &&= chunk[i] === (this.bytes + i) % PERIOD;
    this.bytes += chunk.length;
  }
}
