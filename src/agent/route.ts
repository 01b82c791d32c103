/** A hub as a way to other members. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Circuit } from '../tunnel/circuit.ts';

export interface Route {
  readonly url: string;
  /** It should be left: nothing new goes over it while there is another one. */
  readonly isLeaving: boolean;
  /** @throws SkeinError SKEIN_NO_ENDPOINT when that instance is not connected to this hub */
  openCircuit(instance: string): Promise<Circuit>;
}

/**
 * A circuit to `instance`, if the hub opens one within `limitMs`; one that comes later is closed.
 * @throws SkeinError SKEIN_HUB_UNREACHABLE, and what `openCircuit` throws
 */
export function openCircuitWithin(clock: Clock, limitMs: number, route: Route, instance: string): Promise<Circuit> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = clock.setTimer(limitMs, () => {
      isLate = true;
      reject(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot open circuit: the hub did not answer in time'));
    });
    route.openCircuit(instance).then(
      (circuit) => {
        timer.cancel();
        if (isLate) circuit.close(0);
        else resolve(circuit);
      },
      (thrown) => {
        timer.cancel();
        reject(thrown);
      },
    );
  });
}
