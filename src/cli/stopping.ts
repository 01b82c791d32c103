/** Signals that ask a running command to end: the first drains, a second one ends the process at once. */

import type { CommandContext } from './context.ts';
import { EXIT } from './exit-code.ts';

export class Stopping {
  /** Resolves with the first signal. */
  readonly asked: Promise<void>;
  /** Aborts with the first signal. */
  readonly signal: AbortSignal;
  readonly #giveBack: readonly (() => void)[];
  #count = 0;

  constructor({ process, say, logger }: Pick<CommandContext, 'process' | 'say' | 'logger'>) {
    const controller = new AbortController();
    this.signal = controller.signal;
    let resolve: () => void = () => undefined;
    this.asked = new Promise((done) => {
      resolve = done;
    });
    this.#giveBack = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) =>
      process.onSignal(signal, () => {
        this.#count += 1;
        if (this.#count > 1) {
          process.exit(EXIT.other);
          return;
        }
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
