/** Exit codes of every command: what a script may rely on. */

import { type ErrorCode, SkeinError } from '../core/errors.ts';

export const EXIT = {
  done: 0,
  other: 1,
  usage: 2,
  /** The hub could not be reached. */
  unreachable: 3,
  /** Identity or policy said no. */
  refused: 4,
} as const;

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  SKEIN_CONFIG: EXIT.usage,
  SKEIN_HUB_UNREACHABLE: EXIT.unreachable,
  SKEIN_DENIED: EXIT.refused,
  SKEIN_USER_TOKEN_INVALID: EXIT.refused,
  SKEIN_IDENTITY: EXIT.refused,
  SKEIN_REVOKED: EXIT.refused,
  SKEIN_TOKEN_INVALID: EXIT.refused,
  SKEIN_TOKEN_USED: EXIT.refused,
  SKEIN_TOKEN_EXPIRED: EXIT.refused,
  SKEIN_NAME_NOT_GRANTED: EXIT.refused,
};

export function exitCodeOf(error: unknown): number {
  return error instanceof SkeinError ? exitCodeOfCode(error.code) : EXIT.other;
}

export function exitCodeOfCode(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.other;
}
