/** The life of a command that runs until it is told to stop: the first signal drains, a second one ends at once. */

import type { CommandContext } from './context.ts';
import { EXIT } from './exit-code.ts';

/** What a command keeps running. */
export interface Running {
  /** Finishes what was begun, takes nothing new, and ends. */
  shutdown(): Promise<void>;
  /** Rejects when it cannot go on; never resolves otherwise. */
  readonly failed: Promise<never>;
}

/** @returns the exit code; @throws what `failed` rejects with */
export async function waitUntilStopped(context: CommandContext, running: Running): Promise<number> {
  const stopping = new Stopping(context);
  try {
    await Promise.race([stopping.asked, running.failed]);
    await Promise.race([running.shutdown(), running.failed]);
    return EXIT.done;
  } finally {
    stopping.release();
  }
}

/** Takes over the signals that end a process. */
export class Stopping {
  /** Resolves with the first signal. */
  readonly asked: Promise<void>;
  readonly #giveBack: (() => void)[];
  #count = 0;

  constructor({ process, say, logger }: Pick<CommandContext, 'process' | 'say' | 'logger'>) {
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
        say('Draining; the same signal again stops at once.');
        resolve();
      }),
    );
  }

  release(): void {
    for (const giveBack of this.#giveBack) giveBack();
  }
}
