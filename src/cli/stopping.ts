/** Signals that ask a running command to end: the first drains, a second one ends the process at once. */

import type { CommandContext } from './context.ts';
import { EXIT } from './exit-code.ts';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

export class Stopping {
  /** Resolves with the first signal. */
  readonly asked: Promise<void>;
  /** Aborts with the first signal. */
  readonly signal: AbortSignal;
  /** The first signal, once it came. */
  by: StopSignal | undefined;
  readonly #giveBack: readonly (() => void)[];

  constructor({ process, say, logger }: Pick<CommandContext, 'process' | 'say' | 'logger'>) {
    const controller = new AbortController();
    this.signal = controller.signal;
    let resolve: () => void = () => undefined;
    this.asked = new Promise((done) => {
      resolve = done;
    });
    this.#giveBack = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) =>
      process.onSignal(signal, () => {
        if (this.by !== undefined) {
          process.exit(EXIT.other);
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
