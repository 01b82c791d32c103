/** Signals that ask a running command to end: the first drains, a second one ends the process at once. */

import type { CommandContext } from './context.ts';
import { EXIT } from './exit-code.ts';

/** For the last words of a process to leave it. */
const FAREWELL_MS = 250;

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

export class Stopping {
  /** Resolves with the first signal. */
  readonly asked: Promise<void>;
  /** Aborts with the first signal. */
  readonly signal: AbortSignal;
  /** The first signal, once it came. */
  by: StopSignal | undefined;
  /** What a second signal still does: telling others of the end, who would wait for this process otherwise. */
  farewell: (() => void) | undefined;
  /** There was a second signal. */
  isUrgent = false;
  readonly #giveBack: readonly (() => void)[];

  constructor({ platform, process, say, logger }: Pick<CommandContext, 'platform' | 'process' | 'say' | 'logger'>) {
    const controller = new AbortController();
    this.signal = controller.signal;
    let resolve: () => void = () => undefined;
    this.asked = new Promise((done) => {
      resolve = done;
    });
    this.#giveBack = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) =>
      process.onSignal(signal, () => {
        if (this.by !== undefined) {
          const exit = (): void => process.exit(EXIT.other);
          if (this.isUrgent || this.farewell === undefined) return exit();
          this.isUrgent = true;
          platform.clock.setTimer(FAREWELL_MS, exit);
          this.farewell();
          return;
        }
        this.by = signal;
        logger.log('info', 'draining', { signal });
        say('Draining; another signal stops at once.');
        controller.abort();
        resolve();
      }),
    );
  }

  /** Gives the signals back to the system. */
  release(): void {
    for (const giveBack of this.#giveBack) giveBack();
  }
}
