/** Calls to the admin HTTP of a hub or a sidecar: bearer token, JSON in and out, failures as `SkeinError`. */

import { isErrorCode, SkeinError } from '../core/errors.ts';
import { isLoopbackName } from '../core/loopback.ts';
import type { Redacted } from '../core/redacted.ts';
import { PERMISSIVE_FIELD } from '../core/reserved-fields.ts';
import { toHttpUrl } from './address.ts';

const START_REMEDY = 'Start a hub on this machine with `skein hub`, or name another one with --hub.';
const TOKEN_REMEDIES = {
  hub: 'Give the admin token of the hub: --data with its data folder, or SKEIN_ADMIN_TOKEN.',
  sidecar: 'Ask as the user who started the sidecar, or set SKEIN_SIDECAR_ADMIN_TOKEN there and here.',
} as const;
/** A hub answers these from memory or from one write to disk; longer means that it is not there. */
const TIMEOUT_MS = 10_000;

export interface AdminClientOptions {
  /** Whose it is, as errors name it. @default hub */
  readonly role?: 'hub' | 'sidecar';
  /** WebSocket URL of the hub, or HTTP URL. */
  readonly url: string;
  /** Undefined: only what needs no right can be asked. */
  readonly token: Redacted<string> | undefined;
  /** The mesh is permissive, as this policy says. */
  readonly onPermissive?: (rule: string) => void;
}

export class AdminClient {
  readonly url: string;
  readonly #role: 'hub' | 'sidecar';
  readonly #subject: string;
  readonly #token: Redacted<string> | undefined;
  readonly #onPermissive: (rule: string) => void;

  constructor(options: AdminClientOptions) {
    this.url = options.url;
    this.#role = options.role ?? 'hub';
    this.#subject = `${this.#role} ${options.url}`;
    this.#token = options.token;
    this.#onPermissive = options.onPermissive ?? (() => undefined);
  }

  get(path: string): Promise<unknown> {
    return this.#call('GET', path);
  }

  post(path: string, body: unknown): Promise<unknown> {
    return this.#call('POST', path, body);
  }

  /** @throws SkeinError SKEIN_HUB_UNREACHABLE, or what was answered */
  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (this.#token !== undefined) headers.authorization = `Bearer ${this.#token.reveal()}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${toHttpUrl(this.url)}${path}`, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      text = await response.text();
      const permissive = response.headers.get(PERMISSIVE_FIELD);
      if (permissive !== null) this.#onPermissive(permissive);
    } catch (error) {
      const cause = rootOf(error);
      throw new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot reach ${this.#subject}: ${stateOf(cause)}`, {
        cause,
        details: this.#role === 'hub' && isLoopbackName(new URL(this.url).hostname) ? { remedy: START_REMEDY } : {},
      });
    }
    const answer = parseJson(text);
    if (!response.ok) throw this.#toError(response.status, answer);
    return answer;
  }

  #toError(status: number, answer: unknown): SkeinError {
    const { code, message, issues, remedy } = readFailure(answer);
    const known = code !== undefined && isErrorCode(code) ? code : undefined;
    if (status === 401 || (status === 403 && known === undefined)) {
      const state = this.#token === undefined ? 'no admin token given' : 'the admin token is not valid';
      return new SkeinError(known ?? 'SKEIN_DENIED', `Cannot use ${this.#subject}: ${state}`, {
        details: {
          remedy: TOKEN_REMEDIES[this.#role],
        },
      });
    }
    const state =
      issues === undefined ? message : `Cannot accept: ${issues.length === 1 ? '1 issue' : `${issues.length} issues`}`;
    return new SkeinError(known ?? 'SKEIN_INTERNAL', state ?? `Cannot use ${this.#subject}: it answered ${status}`, {
      status,
      details: {
        ...(issues === undefined ? {} : { issues }),
        ...(status === 404 ? { remedy: 'Check kind, name and namespace: `skein get` lists what there is.' } : {}),
        ...(remedy === undefined ? {} : { remedy }),
      },
    });
  }
}

/** Some runtimes hide "connect ECONNREFUSED 127.0.0.1:7000" two levels below "fetch failed". */
function rootOf(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return rootOf(error.errors[0]);
  return error instanceof Error && error.cause instanceof Error ? rootOf(error.cause) : error;
}

function stateOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === 'TimeoutError' ? `no answer within ${TIMEOUT_MS / 1000} s` : error.message;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

interface Failure {
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly issues: readonly unknown[] | undefined;
  /** What the hub advises. */
  readonly remedy: string | undefined;
}

function readFailure(answer: unknown): Failure {
  const outer = asRecord(answer);
  const inner = asRecord(outer.error);
  const from = Object.keys(inner).length > 0 ? inner : outer;
  const details = asRecord(from.details);
  const issues = from.issues ?? details.issues;
  return {
    code: typeof from.code === 'string' ? from.code : undefined,
    message: typeof from.message === 'string' ? from.message : undefined,
    issues: Array.isArray(issues) ? issues : undefined,
    remedy: typeof details.remedy === 'string' ? details.remedy : undefined,
  };
}

/** An object's members; nothing for anything else. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** The members of a list, each as `asRecord`; none of anything else. */
export function toRecords(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(asRecord) : [];
}

/** A bare list, or one under a name. */
export function toList(answer: unknown): readonly unknown[] {
  if (Array.isArray(answer)) return answer;
  const list = Object.values(asRecord(answer)).find(Array.isArray);
  if (list === undefined) throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read answer of the hub: no list in it');
  return list;
}
