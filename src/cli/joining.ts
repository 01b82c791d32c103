/** Joining for one errand: unlike a sidecar, a command does not wait for ever for a hub that is not there. */

import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Platform } from '../core/platform.ts';
import type { Mesh } from '../index.ts';
import type { CommandContext } from './context.ts';
import type { Membership } from './membership.ts';

/**
 * @param signal ends the attempt when the errand's time is over
 * @throws SkeinError SKEIN_HUB_UNREACHABLE as soon as no hub could be dialled; what a refusal says
 */
export async function joinOnce(
  { platform, logger }: CommandContext,
  { hubs, token, knownHub, data }: Membership,
  signal: AbortSignal,
): Promise<Mesh> {
  const unreachable = new AbortController();
  const impatient = watchDials(platform, hubs.length, (error) => unreachable.abort(error));
  try {
    const { createMeshOn } = await import('../index.ts');
    return await createMeshOn(impatient, {
      hub: hubs,
      token,
      hubThumbprint: knownHub.thumbprints,
      trustDomain: knownHub.trustDomain,
      data,
      log: logger,
      signal: AbortSignal.any([signal, unreachable.signal]),
    });
  } catch (thrown) {
    if (!signal.aborted) throw toSkeinError(thrown);
    throw new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot join the mesh: ${hubs.join(', ')} took too long`, {
      cause: thrown,
    });
  }
}

/** The platform, telling of the failure when `hubs` dials in a row have failed: each hub had its turn. */
function watchDials(platform: Platform, hubs: number, onFailure: (error: SkeinError) => void): Platform {
  let failures = 0;
  return {
    ...platform,
    dialWebSocket: async (url, options) => {
      try {
        const pipe = await platform.dialWebSocket(url, options);
        failures = 0;
        return pipe;
      } catch (thrown) {
        failures += 1;
        if (failures === hubs) onFailure(toSkeinError(thrown, 'SKEIN_HUB_UNREACHABLE'));
        throw thrown;
      }
    },
  };
}
