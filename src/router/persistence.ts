/**
 * Session persistence (GEP-1619): requests of one client session go to the instance that answered its first one, as long as that one
 * can be asked. What the client keeps names the instance by a hash of its id, so that every sidecar can read it and nobody learns
 * where an instance is; and when the session began and was used, so that nothing has to be remembered here.
 */

import { hashText } from '../core/hash.ts';
import { formatSetCookie, readCookie } from '../http/cookie.ts';
import { type Fields, getField, NO_FIELDS } from '../http/head.ts';

export interface PersistencePolicy {
  readonly kind: 'cookie' | 'header';
  /** Of the cookie or of the field. */
  readonly name: string;
  /** From its first request on a session holds so long. @default for ever */
  readonly absoluteTimeoutMs?: number | undefined;
  /** And so long after its last one. @default for ever */
  readonly idleTimeoutMs?: number | undefined;
  /** The cookie outlives the client's process, until `absoluteTimeoutMs`. @default false */
  readonly isPermanent?: boolean | undefined;
}

export interface ClientSession {
  /** Of its instance, as `toInstanceTag` makes it. */
  readonly tag: string;
  /** Seconds since 1970. */
  readonly begunS: number;
  readonly usedS: number;
}

/** Use is written down when so much of the idle time has passed: an answer of ten carries a field, and not each. */
const USE_PART = 0.1;
/** Clocks of sidecars differ; what comes from further in the future was made up. */
const SKEW_S = 300;

const TOKEN = /^([0-9a-f]{16})\.([0-9a-z]{1,8})\.([0-9a-z]{1,8})$/;

/** 64 bits of an id that has 126: enough to tell instances apart, too few to find one. */
export function toInstanceTag(instance: string): string {
  return [3, 4].map((seed) => hashText(instance, seed).toString(16).padStart(8, '0')).join('');
}

export class Persistence {
  readonly #policy: PersistencePolicy;

  constructor(policy: PersistencePolicy) {
    this.#policy = policy;
  }

  /** The session that a request belongs to; undefined where it names none, or one that is over. */
  read(fields: Fields, epochMs: number): ClientSession | undefined {
    const {
      kind,
      name,
      absoluteTimeoutMs = Number.POSITIVE_INFINITY,
      idleTimeoutMs = Number.POSITIVE_INFINITY,
    } = this.#policy;
    const [, tag, begun, used] =
      TOKEN.exec((kind === 'cookie' ? readCookie(fields, name) : getField(fields, name)) ?? '') ?? [];
    if (tag === undefined || begun === undefined || used === undefined) return undefined;
    const session = { tag, begunS: Number.parseInt(begun, 36), usedS: Number.parseInt(used, 36) };
    const nowS = epochMs / 1000;
    if (session.begunS > nowS + SKEW_S || session.usedS > nowS + SKEW_S || session.usedS < session.begunS)
      return undefined;
    if ((nowS - session.begunS) * 1000 >= absoluteTimeoutMs || (nowS - session.usedS) * 1000 >= idleTimeoutMs)
      return undefined;
    return session;
  }

  /** What an answer of `instance` has to carry for the client's next request to find it again; nothing where the client knows. */
  fieldsFor(instance: string, session: ClientSession | undefined, epochMs: number): Fields {
    const { kind, name, absoluteTimeoutMs, idleTimeoutMs, isPermanent } = this.#policy;
    const tag = toInstanceTag(instance);
    const nowS = Math.floor(epochMs / 1000);
    const isSame = session?.tag === tag;
    if (isSame && (idleTimeoutMs === undefined || (nowS - session.usedS) * 1000 < idleTimeoutMs * USE_PART))
      return NO_FIELDS;
    const begunS = isSame ? session.begunS : nowS;
    const token = `${tag}.${begunS.toString(36)}.${nowS.toString(36)}`;
    if (kind === 'header') return [name, token];
    if (isPermanent !== true || absoluteTimeoutMs === undefined) return ['set-cookie', formatSetCookie(name, token)];
    const maxAgeS = Math.max(0, begunS + Math.floor(absoluteTimeoutMs / 1000) - nowS);
    return ['set-cookie', formatSetCookie(name, token, { maxAgeS })];
  }
}
