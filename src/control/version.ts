/** Versions of the control protocol: what a sidecar offers when it opens the control stream, and what the hub chooses. */

import { type Bytes, decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';

/** Versions this build speaks, best first. A hub keeps the two before its own, so that sidecars are upgraded at leisure. */
export const CONTROL_VERSIONS: readonly number[] = [1];

const OFFER = /^skein\.control\.v([1-9]\d{0,3})$/;
const MAX_OFFER_BYTES = 256;

/** Metadata of the control stream: every version offered, as `skein.control.v1,…`. */
export function encodeControlOffer(versions: readonly number[] = CONTROL_VERSIONS): Bytes {
  return encodeUtf8(versions.map((version) => `skein.control.v${version}`).join(','));
}

/**
 * The best version that both speak.
 * @throws SkeinError SKEIN_PROTOCOL when the stream is no control stream or there is no common version
 */
export function chooseControlVersion(meta: Bytes, supported: readonly number[] = CONTROL_VERSIONS): number {
  const offered = parseOffer(meta);
  const version = supported.find((each) => offered.includes(each));
  if (version === undefined) {
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot open control stream: no common version', {
      details: { offered, supported },
    });
  }
  return version;
}

function parseOffer(meta: Bytes): number[] {
  let text = '';
  try {
    if (meta.length <= MAX_OFFER_BYTES) text = decodeUtf8(meta);
  } catch {
    // Not text: not an offer.
  }
  return text.split(',').flatMap((each) => {
    const version = OFFER.exec(each)?.[1];
    return version === undefined ? [] : [Number(version)];
  });
}
