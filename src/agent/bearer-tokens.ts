/** Bearer tokens (JWT-SVID) of this member for those outside the mesh: asked of a hub, and kept while they are fresh. */

import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { HubConnection } from './hub-connection.ts';

/** A JWT-SVID: whoever holds the text is taken for its subject by its one audience. */
export interface BearerToken {
  /** The token itself, a JWT: a secret. */
  readonly token: string;
  /** Wall time by the hub's clock. */
  readonly expiresAtMs: number;
}

export interface BearerTokensOptions {
  readonly clock: Clock;
  /** Hubs that have taken this member, the preferred one first. */
  readonly routes: () => readonly HubConnection[];
}

interface Kept {
  readonly token: Promise<BearerToken>;
  /** When another one is asked for, monotonic. */
  readonly freshUntilMs: number;
}

/** A token is handed out again for so long: who gets it has at least as much time left to use it. */
const FRESH_MS = 150_000;
/** Audiences whose tokens are kept. */
const MAX_KEPT = 256;

export class BearerTokens {
  readonly #options: BearerTokensOptions;
  readonly #kept = new Map<string, Kept>();

  constructor(options: BearerTokensOptions) {
    this.#options = options;
  }

  /** @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_BAD_REQUEST, SKEIN_LIMIT */
  get(audience: string): Promise<BearerToken> {
    const nowMs = this.#options.clock.monotonicMs();
    const kept = this.#kept.get(audience);
    if (kept !== undefined && nowMs < kept.freshUntilMs) return kept.token;
    this.#kept.delete(audience);
    for (const [oldest] of this.#kept) {
      if (this.#kept.size < MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
    const asked: Kept = { token: this.#ask(audience), freshUntilMs: nowMs + FRESH_MS };
    this.#kept.set(audience, asked);
    asked.token.catch(() => {
      if (this.#kept.get(audience) === asked) this.#kept.delete(audience);
    });
    return asked.token;
  }

  /** None is handed out again: the key that has signed them may be gone. */
  forget(): void {
    this.#kept.clear();
  }

  /** Of the first hub that issues one. */
  async #ask(audience: string): Promise<BearerToken> {
    let failure = new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot get token: no hub that issues is there');
    for (const hub of this.#options.routes()) {
      if (!hub.plays('issuer')) continue;
      try {
        return await hub.callProven('token', { audience });
      } catch (thrown) {
        failure = toSkeinError(thrown);
      }
    }
    throw failure;
  }
}
