/** One of the two peers of the model: its process, its session, and what a bystander may say about it at any moment. */

import assert from 'node:assert/strict';
import { IncomingCircuit } from '../../../src/agent/incoming-circuit.ts';
import type { Bytes } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { toWireCode } from '../../../src/tunnel/codes.ts';
import type { TunnelOptions } from '../../../src/tunnel/options.ts';
import type { PathInfo } from '../../../src/tunnel/path.ts';
import { refuseAttach } from '../../../src/tunnel/path-records.ts';
import { RECORD_PATH, readRecordType } from '../../../src/tunnel/record.ts';
import { ReplayBudget } from '../../../src/tunnel/replay-budget.ts';
import type { Session } from '../../../src/tunnel/session.ts';
import { RecordLedger } from './ledger.ts';
import type { ModelProcess } from './process.ts';
import type { WireEnd } from './wire.ts';

/** What a session may keep above its window (docs/protocol.md §4), and one record. */
const RESEND_SLACK_BYTES = 256 * 1024 + 65_536;
/** Kept by an idle session: an ACK that nobody acknowledges alone, and what else is small. */
export const IDLE_BYTES = 4_096;
/** Attempts of an intruder are drawn from the last path messages. */
const MAX_HEARD = 40;
const BUDGET_BYTES = 200_000;
/** A move that the policy makes is the last one for so long. */
const MIN_STAY_MS = 5_000;
/** A move that was asked for is made within the time of a fence. */
const ASKED_MS = 1_000;
const ROUNDING_MS = 0.001;

export interface Ending {
  readonly error: SkeinError;
  readonly atMs: number;
  readonly detachedMs: number | undefined;
}

export class ModelSide {
  readonly name: string;
  readonly process: ModelProcess;
  readonly limits: TunnelOptions;
  readonly budget = new ReplayBudget(BUDGET_BYTES);
  readonly ledger = new RecordLedger();
  /** Set by the model once the handshake has begun. */
  session: Session | undefined;
  ending: Ending | undefined;
  /** It has closed its session itself, or has crashed. */
  hasLeft = false;
  /** Path messages that have come, as link messages. */
  readonly heard: Bytes[] = [];
  /** Names of routes it was told to leave. */
  readonly left = new Set<string>();
  /** Kept by others of this process. */
  pressureBytes = 0;
  worstResendBytes = 0;
  worstReorderBytes = 0;
  policySwitches = 0;
  #active: string | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;
  #movedMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, process: ModelProcess, limits: TunnelOptions) {
    this.name = name;
    this.process = process;
    this.limits = limits;
  }

  get isAlive(): boolean {
    return !this.process.isDead && this.session?.isOpen === true;
  }

  get needsPath(): boolean {
    return this.isAlive && !this.session?.paths.some(({ state }) => state === 'active' || state === 'standby');
  }

  /** Nothing is on its way but what nobody acknowledges alone. */
  get isIdle(): boolean {
    return (this.session?.keptBytes ?? 0) <= IDLE_BYTES;
  }

  noteAsked(): void {
    this.#askedMs = this.process.monotonicMs();
  }

  onClose(error: SkeinError): void {
    assert.equal(this.ending, undefined, `${this.name} is told twice of the end`);
    this.ending = { error, atMs: this.process.monotonicMs(), detachedMs: this.session?.detachedMs };
  }

  /** Paths have changed: whether the policy moves too often. */
  onPaths(): void {
    const paths = this.session?.paths ?? [];
    assert.ok(paths.length <= this.limits.maxPaths, `${this.name} has ${paths.length} paths`);
    const active = paths.find(({ state }) => state === 'active')?.via;
    if (active === undefined || active === this.#active) return;
    const before = paths.find(({ via }) => via === this.#active);
    this.#active = active;
    const nowMs = this.process.monotonicMs();
    const wasAsked = nowMs - Math.max(this.#askedMs, this.process.thawedMs) <= ASKED_MS;
    if (before?.state !== 'standby' || wasAsked || this.left.has(before.via)) return;
    this.policySwitches++;
    const stayedMs = nowMs - this.#movedMs + ROUNDING_MS;
    assert.ok(
      stayedMs >= MIN_STAY_MS,
      `${this.name} moves again after ${stayedMs} ms, to ${active} from ${before.via}`,
    );
    this.#movedMs = nowMs;
  }

  /** Somebody has opened `circuit` to here. */
  accept(circuit: Circuit, info: PathInfo, isStranger: boolean): void {
    new IncomingCircuit(circuit, this.process, 10_000, {
      onHandshake: () => circuit.close(toWireCode('SKEIN_LIMIT')),
      onAttach: (id, first) => {
        if (this.session?.isOpen && this.session.id === id) {
          const before = this.#print();
          const isAccepted = this.session.acceptPath(circuit, info, first);
          if (!isStranger) return;
          assert.equal(isAccepted, false, `${this.name} takes a stranger for its peer`);
          assert.equal(circuit.isClosed, true, `${this.name} keeps the circuit of a stranger`);
          assert.equal(this.#print(), before, `${this.name} is moved by a stranger`);
          return;
        }
        const code = toWireCode('SKEIN_SESSION_LOST');
        circuit.send(refuseAttach(first, code));
        circuit.close(code);
      },
      onEnd: () => undefined,
    });
  }

  /** Hands a message to the session on `circuit` by `deliver` that the peer did not send there: nothing may change. */
  expectNoChange(what: string, circuit: Circuit, deliver: () => void): void {
    const wasClosed = circuit.isClosed;
    const before = this.#print();
    deliver();
    // One too many for the credit of its circuit ends its link.
    if (circuit.isClosed === wasClosed) assert.equal(this.#print(), before, `${this.name} is moved by ${what}`);
  }

  /** Sees what goes through one of its sockets. */
  listen(socket: WireEnd, circuit: Circuit): void {
    socket.onSend = (message) => {
      this.ledger.note(message);
      this.check();
    };
    socket.onDeliver = (message) => {
      // What never reaches the session may still be used once, by whoever kept it: a relay does just that.
      if (!isPathRecord(message) || circuit.isClosed) return;
      this.heard.push(message.slice());
      if (this.heard.length > MAX_HEARD) this.heard.shift();
    };
  }

  /** Limits that hold at every moment. */
  check(): void {
    const { session, limits } = this;
    if (session === undefined || !session.isOpen) return;
    const { resend, unread, reorder } = session.pinnedBytes;
    this.worstResendBytes = Math.max(this.worstResendBytes, resend);
    this.worstReorderBytes = Math.max(this.worstReorderBytes, reorder);
    const { maxSessionWindowBytes, reorderBytes } = limits;
    const maxResendBytes = maxSessionWindowBytes + RESEND_SLACK_BYTES;
    assert.ok(resend <= maxResendBytes, `${this.name} keeps ${resend} bytes for sending again`);
    assert.ok(unread <= maxSessionWindowBytes, `${this.name} has ${unread} bytes that nobody reads`);
    assert.ok(reorder <= reorderBytes, `${this.name} keeps ${reorder} bytes that came early`);
  }

  /** All that a message from nobody could change, in one line. */
  #print(): string {
    const session = this.session as Session;
    const { recordsReceived, pathSwitches } = session.stats;
    const paths = session.paths.map(({ via, state }) => `${via} ${state}`);
    return JSON.stringify([session.isOpen, paths, recordsReceived, pathSwitches, session.detachedMs]);
  }
}

function isPathRecord(message: Bytes): boolean {
  return (
    message.length > LINK_HEADER_BYTES &&
    message[0] === 0x12 &&
    readRecordType(message, LINK_HEADER_BYTES) === RECORD_PATH
  );
}
