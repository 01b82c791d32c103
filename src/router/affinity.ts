/** Affinity: what of a request leads it to the same instance as others: the session of its client, or a value of its own. */

import { hashText } from '../core/hash.ts';
import { readCookie } from '../http/cookie.ts';
import type { RequestHead } from '../http/head.ts';
import { RequestView } from './match.ts';
import { type ClientSession, Persistence, type PersistencePolicy } from './persistence.ts';

/** Requests with the same value go to the same instance; those without one go where the wait is shortest. */
export interface HashSource {
  readonly kind: 'header' | 'cookie' | 'queryParam';
  /** Names of fields in lower case. */
  readonly name: string;
}

export interface AffinityPolicy {
  readonly hashOn?: HashSource | undefined;
  readonly persistence?: PersistencePolicy | undefined;
}

/** What one request says. */
export interface Bond {
  readonly session: ClientSession | undefined;
  /** Hash of its value. */
  readonly key: number | undefined;
}

export class Affinity {
  readonly persistence: Persistence | undefined;
  readonly #hashOn: HashSource | undefined;

  constructor({ hashOn, persistence }: AffinityPolicy) {
    this.#hashOn = hashOn;
    this.persistence = persistence && new Persistence(persistence);
  }

  read(head: RequestHead, epochMs: number): Bond {
    const value = this.#hashOn && readValue(head, this.#hashOn);
    return {
      session: this.persistence?.read(head.fields, epochMs),
      key: value === undefined ? undefined : hashText(value),
    };
  }
}

function readValue(head: RequestHead, { kind, name }: HashSource): string | undefined {
  if (kind === 'cookie') return readCookie(head.fields, name);
  const view = new RequestView(head);
  return kind === 'header' ? view.field(name) : view.parameter(name);
}
