/**
 * `Paths`: the ways one session has — which of them carries the records sent here, what stands by, and what happens when
 * the last one is gone. Each end chooses for its own direction; the other end is told only when it must send again.
 */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { Circuit } from './circuit.ts';
import { fromWireCode, toWireCode } from './codes.ts';
import type { TunnelOptions } from './options.ts';
import { Path, type PathHost, type PathInfo, type PathStatus } from './path.ts';
import { chooseFallback } from './path-policy.ts';
import { PathProber } from './path-prober.ts';
import type { PathRecords } from './path-records.ts';

export interface PathsOptions {
  readonly clock: Clock;
  readonly limits: TunnelOptions;
  readonly records: PathRecords;
  /** False: the session ends with its path, as one with the other end of a link does. */
  readonly isResumable: boolean;
  /** Sequence of the record that is due here. */
  next(): number;
  /** The peer has everything below `next`. */
  onPeerNext(next: number): void;
  /** From now on records go to `path`, first those that the peer may not have. */
  onActive(path: Path): void;
  /** Records that the session has sent and received so far. */
  progress(): number;
  /** A better path is there: what is under way should arrive first, then `activate` it. */
  onWish(path: Path): void;
  /** There is no way to the peer, and will be none. */
  onHopeless(error: SkeinError): void;
  /** There is a path again, after so long without any. */
  onResumed(afterMs: number): void;
  /** Paths, their states, or whether there is one. */
  onChange(): void;
}

/** A path that was left because it did not carry is not chosen again for this long; twice as long each further time. */
const PENALTY_MS = 10_000;
const MAX_PENALTY_MS = 600_000;

export class Paths {
  readonly #options: PathsOptions;
  readonly #host: PathHost;
  /** Made when there is more to ask than the one path: most peers keep to that. */
  #prober: PathProber | undefined;
  /** Made when it is needed: most peers keep to one path. */
  #conduct: TokenBucket | undefined;
  readonly #paths: Path[];
  #active: Path | undefined;
  /** Set while there is no path. */
  #grace: Timer | undefined;
  /** Fires when it is time to worry. */
  #worry: Timer | undefined;
  #isOverdue = false;
  #detachedMs = 0;
  #lastError: SkeinError | undefined;
  #switches = 0;
  /** Counter of the last ATTACH by which the peer has taken over. */
  #takenOverAt = -1;
  #isClosed = false;

  /** `first`: the path of the handshake. */
  constructor(options: PathsOptions, host: PathHost, first: Path) {
    this.#options = options;
    this.#host = host;
    first.isAttached = true;
    this.#paths = [first];
    this.#active = first;
  }

  get active(): Path | undefined {
    return this.#active;
  }

  /** How often records of this end moved to another path. */
  get switches(): number {
    return this.#switches;
  }

  /** Since when there is no path, in monotonic milliseconds, or undefined. */
  get detachedMs(): number | undefined {
    return this.#grace === undefined ? undefined : this.#detachedMs;
  }

  /** Whether there is no path, and has been none for longer than a move takes. */
  get isOverdue(): boolean {
    return this.#isOverdue;
  }

  get status(): PathStatus[] {
    const nowMs = this.#options.clock.monotonicMs();
    return this.#paths.map((path) => ({
      info: path.info,
      kind: path.info.kind,
      via: path.info.via,
      state: !path.isAttached ? 'proving' : path.isSuspect ? 'suspect' : path === this.#active ? 'active' : 'standby',
      rttMs: path.rttMs,
      ageMs: nowMs - path.madeMs,
    }));
  }

  /** This end has opened `circuit` to the peer: proves there that it is this session. */
  offer(circuit: Circuit, info: PathInfo): void {
    const path = this.#add(circuit, info);
    if (path === undefined) return;
    path.deadline = this.#options.clock.setTimer(this.#options.limits.attachTimeoutMs, () => {
      this.#drop(path, 'SKEIN_PEER_UNREACHABLE');
    });
    this.#sendAttach(path);
    circuit.attach(path);
  }

  /** The peer has opened `circuit`; `first` came on it. False when that proves nothing: the circuit is closed then. */
  accept(circuit: Circuit, info: PathInfo, first: Bytes): boolean {
    // Before anything else: who knows the id of the session must not shed a path of it for his own.
    const record = this.#options.records.read(first);
    if (record?.step !== 'attach') {
      circuit.close(toWireCode('SKEIN_HANDSHAKE'));
      return false;
    }
    const path = this.#add(circuit, info);
    if (path === undefined) return false;
    circuit.attach(path);
    this.#onAttach(path, record.takesOver, record.next, record.counter);
    return !path.isClosed;
  }

  /** A path record came. */
  receive(path: Path, message: Bytes): void {
    const { records, clock } = this.#options;
    const record = records.read(message);
    if (record === undefined) {
      // Altered, or a copy: whoever does that to this circuit does it to the next record as well.
      if (!path.isAttached) this.#drop(path, 'SKEIN_HANDSHAKE');
      return;
    }
    // Before it counts for anything: a relay can make up as many as it likes.
    if (record.step === 'refused') return this.#onRefused(path, record.code);
    const nowMs = clock.monotonicMs();
    const { pathRecordsPerSecond, pathRecordsBurst } = this.#options.limits;
    this.#conduct ??= new TokenBucket(pathRecordsPerSecond, pathRecordsBurst, nowMs);
    if (!this.#conduct.take(nowMs)) {
      return this.#options.onHopeless(
        new SkeinError('SKEIN_LIMIT', 'Cannot keep session: the peer sends too many path records'),
      );
    }
    switch (record.step) {
      case 'attach':
        return this.#onAttach(path, record.takesOver, record.next, record.counter);
      case 'attached':
        return this.#onAttached(path, record.attach, record.next);
      case 'probe':
        return path.isAttached ? path.send(records.probed(record.nonce)) : undefined;
      case 'probed':
        path.onProbed(record.nonce, nowMs);
        return this.noteHeard(path);
    }
  }

  /** Anything that proves the peer came on `path`. */
  noteHeard(path: Path): void {
    path.heardMs = this.#options.clock.monotonicMs();
    if (!path.isSuspect) return;
    path.isSuspect = false;
    this.#options.onChange();
  }

  /** Nothing was heard on the active path for `silentMs`, though something must have come. True when that is new. */
  noteSilence(silentMs: number): boolean {
    const { clock, limits, isResumable } = this.#options;
    const path = this.#active;
    if (path === undefined) return false;
    const nowMs = clock.monotonicMs();
    if (!path.isSuspect) {
      path.isSuspect = true;
      path.suspectMs = nowMs;
      this.#probing.probeAll();
      // What has killed this path may have killed the ways around it: their links have been idle, and nobody has noticed.
      // Its own link is busy, and judged by what it carries: on a line that loses packets a PING would be one more to wait for.
      for (const other of this.#attached()) if (other !== path) other.circuit.doubt();
      this.#options.onChange();
      return true;
    }
    // All paths were probed when the suspicion arose; what answers is better than what does not.
    const standby = chooseFallback(this.#attached().filter((other) => other !== path));
    const hasAnswered = standby !== undefined && !standby.isSuspect && standby.heardMs >= path.suspectMs;
    if (hasAnswered && nowMs - path.suspectMs >= Math.max(limits.pathDoubtMs, 2 * path.rttMs)) {
      this.#punish(path);
      this.activate(standby);
      this.#sendAttach(standby);
    } else if (isResumable && silentMs >= limits.pathSilenceMs) {
      this.#drop(path, 'SKEIN_PEER_UNREACHABLE');
    } else if (nowMs - this.#probing.probedMs >= limits.pathPatienceMs) this.#probing.probeAll();
    return false;
  }

  /** Whether there is another path than `path` that carries, as far as is known. */
  hasOther(path: Path): boolean {
    return this.#attached().some((other) => other !== path && !other.isSuspect);
  }

  /** `path` swallows or alters records: nothing more may come or go on it. */
  distrust(path: Path, error: SkeinError): void {
    path.close(toWireCode(error.code));
    this.#remove(path, error);
  }

  /** The same of the path in use. */
  distrustActive(error: SkeinError): void {
    if (this.#active !== undefined) this.distrust(this.#active, error);
  }

  /** Leaves matching paths for another one, now or as soon as there is one. */
  leave(match: (info: PathInfo) => boolean): void {
    for (const path of this.#paths) if (match(path.info)) path.isLeaving = true;
    this.#settleLeaving();
  }

  /** Moves to a matching path that carries; false when there is none. For operators and tests: the policy may move back. */
  prefer(match: (info: PathInfo) => boolean): boolean {
    const path = this.#attached().find((other) => match(other.info) && !other.isSuspect);
    if (path === undefined) return false;
    if (path !== this.#active) this.#options.onWish(path);
    return true;
  }

  /** Records go to `path` from now on. */
  activate(path: Path): void {
    if (path.isClosed || this.#isClosed) return;
    if (path !== this.#active) {
      this.#switches++;
      this.#active = path;
      this.#probing.noteMoved(path);
    }
    if (this.#grace !== undefined) this.#options.onResumed(this.#options.clock.monotonicMs() - this.#detachedMs);
    this.#stopGrace();
    this.#options.onActive(path);
    this.#settleLeaving();
    this.#options.onChange();
  }

  onClose(path: Path, error: SkeinError): void {
    this.#remove(path, error);
  }

  close(code: number): void {
    this.#isClosed = true;
    this.#stopGrace();
    this.#prober?.stop();
    for (const path of this.#paths.splice(0)) path.close(code);
    this.#active = undefined;
  }

  get #probing(): PathProber {
    const { clock, limits, records } = this.#options;
    this.#prober ??= new PathProber({
      clock,
      limits,
      records,
      attached: () => this.#attached(),
      active: () => this.#active,
      progress: () => this.#options.progress(),
      onBetter: (path) => this.#options.onWish(path),
      onSilence: (path, silentMs) => this.#onSilence(path, silentMs),
    });
    return this.#prober;
  }

  #attached(): Path[] {
    return this.#paths.filter((path) => path.isAttached && !path.isClosed);
  }

  #add(circuit: Circuit, info: PathInfo): Path | undefined {
    const { clock, limits } = this.#options;
    const others = this.#paths.filter((path) => path !== this.#active);
    const spare = others.find(({ isSuspect, isAttached }) => isSuspect || !isAttached) ?? others[0];
    const isFull = this.#paths.length >= limits.maxPaths;
    if (this.#isClosed || (isFull && spare === undefined)) {
      circuit.close(toWireCode('SKEIN_LIMIT'));
      return undefined;
    }
    if (isFull && spare !== undefined) this.#drop(spare, 'SKEIN_LIMIT');
    const path = new Path(circuit, info, this.#host, clock.monotonicMs());
    this.#paths.push(path);
    return path;
  }

  #sendAttach(path: Path): void {
    const { records } = this.#options;
    path.hasTakenOver = this.#active === undefined || this.#active === path || this.#active.isSuspect;
    const { message, counter } = records.attach(path.hasTakenOver, this.#options.next());
    path.attachCounter = counter;
    path.send(message);
  }

  #onAttach(path: Path, takesOver: boolean, next: number, counter: number): void {
    const { records } = this.#options;
    this.#admit(path);
    path.send(records.attached(counter, this.#options.next()));
    this.#options.onPeerNext(next);
    if (path.isClosed) return;
    // One that a relay has kept back until the peer had taken over elsewhere tells of what was.
    if (takesOver && counter > this.#takenOverAt) {
      this.#takenOverAt = counter;
      // What it has on its other paths, if any, it does not trust: neither should this end.
      const before = this.#active;
      if (before !== undefined && before !== path) before.isSuspect = true;
      this.activate(path);
    } else if (this.#active === undefined) {
      this.activate(path);
      this.#sendAttach(path);
    }
  }

  #onAttached(path: Path, attach: number, next: number): void {
    if (attach !== path.attachCounter) return;
    const isNew = !path.isAttached;
    this.#admit(path);
    this.#options.onPeerNext(next);
    if (path.isClosed || !isNew || (this.#active !== undefined && !this.#active.isSuspect)) return;
    this.activate(path);
    if (!path.hasTakenOver) this.#sendAttach(path);
  }

  /** Nobody has signed it: while the session has a way that carries, it says no more than that this one does not. */
  #onRefused(path: Path, code: number): void {
    if (path.isAttached || path.attachCounter < 0) return;
    if (this.hasOther(path)) return this.#drop(path, 'SKEIN_CANCELLED');
    const error = new SkeinError('SKEIN_SESSION_LOST', 'Cannot resume session: the peer has it no more', {
      details: { reason: fromWireCode(code) },
    });
    this.#drop(path, 'SKEIN_CANCELLED');
    this.#options.onHopeless(error);
  }

  #admit(path: Path): void {
    this.noteHeard(path);
    if (path.isAttached) return;
    path.isAttached = true;
    path.deadline?.cancel();
    this.#probing.noteNew();
    this.#settleLeaving();
    this.#options.onChange();
  }

  #drop(
    path: Path,
    code: 'SKEIN_PEER_UNREACHABLE' | 'SKEIN_HANDSHAKE' | 'SKEIN_PROTOCOL' | 'SKEIN_LIMIT' | 'SKEIN_CANCELLED',
  ): void {
    path.close(toWireCode(code));
    this.#remove(path, new SkeinError(code, `Cannot use path by ${path.info.via}: it does not carry`));
  }

  #remove(path: Path, error: SkeinError): void {
    const at = this.#paths.indexOf(path);
    if (at < 0 || this.#isClosed) return;
    this.#paths.splice(at, 1);
    if (path.isAttached) this.#lastError = error;
    if (path === this.#active) this.#replace();
    if (this.#isClosed) return;
    this.#prober?.update();
    this.#options.onChange();
  }

  /** The active path is gone. */
  #replace(): void {
    const options = this.#options;
    const { clock, limits, isResumable } = options;
    this.#active = undefined;
    const fallback = chooseFallback(this.#attached());
    if (fallback !== undefined) {
      this.activate(fallback);
      this.#sendAttach(fallback);
      return;
    }
    const cause = this.#lastError;
    if (!isResumable) {
      options.onHopeless(cause ?? new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: its path ended'));
      return;
    }
    this.#detachedMs = clock.monotonicMs();
    this.#worry = clock.setTimer(limits.pathPatienceMs, () => {
      this.#isOverdue = true;
      this.#options.onChange();
    });
    this.#grace = clock.setTimer(limits.resumeGraceMs, () => {
      const afterS = limits.resumeGraceMs / 1000;
      options.onHopeless(
        new SkeinError('SKEIN_SESSION_LOST', `Cannot resume session: no way to the peer for ${afterS} s`, { cause }),
      );
    });
  }

  #stopGrace(): void {
    this.#grace?.cancel();
    this.#grace = undefined;
    this.#worry?.cancel();
    this.#worry = undefined;
    this.#isOverdue = false;
  }

  /** Nothing came on `path`, although it was asked. */
  #onSilence(path: Path, silentMs: number): void {
    if (path === this.#active) this.noteSilence(silentMs);
    else if (!path.isSuspect) {
      path.isSuspect = true;
      this.#options.onChange();
    }
  }

  #punish(path: Path): void {
    path.failures++;
    const penaltyMs = Math.min(MAX_PENALTY_MS, PENALTY_MS * 2 ** (path.failures - 1));
    path.notBeforeMs = this.#options.clock.monotonicMs() + penaltyMs;
  }

  /** Asks for a move away from a path that is left; the policy says where to. */
  #settleLeaving(): void {
    const active = this.#active;
    if (active?.isLeaving) {
      const other = chooseFallback(this.#attached().filter((path) => !path.isLeaving && !path.isSuspect));
      if (other !== undefined) this.#options.onWish(other);
    }
    this.#closeLeft();
  }

  #closeLeft(): void {
    for (const path of [...this.#paths]) {
      if (path.isLeaving && path !== this.#active && this.#active !== undefined) this.#drop(path, 'SKEIN_CANCELLED');
    }
  }
}
