/** One request whose two ends talk to each other for as long as the test lets time pass. */

import { deepEqual, equal } from 'node:assert/strict';
import type { Agent } from '../../src/agent/agent.ts';
import type { Bytes } from '../../src/core/bytes.ts';
import { NO_FIELDS } from '../../src/http/head.ts';
import { latin1, type RecordingHandler, type ReplyRecorder, responseHead, type SeenRequest, send } from './http.ts';
import type { VirtualMesh } from './virtual-mesh.ts';

/** What one end says, and how long it took to be heard. */
class Direction {
  longestStallMs = 0;
  readonly #write: (chunk: Bytes) => void;
  readonly #heard: () => string;
  #said = '';
  #heardLength = 0;
  #heardMs: number;

  constructor(nowMs: number, write: (chunk: Bytes) => void, heard: () => string) {
    this.#heardMs = nowMs;
    this.#write = write;
    this.#heard = heard;
  }

  say(): void {
    const text = `${this.#said.length} `;
    this.#said += text;
    this.#write(latin1(text));
  }

  listen(nowMs: number): void {
    const { length } = this.#heard();
    if (length > this.#heardLength) this.#heardMs = nowMs;
    this.#heardLength = length;
    this.longestStallMs = Math.max(this.longestStallMs, nowMs - this.#heardMs);
  }

  check(): void {
    equal(this.#heard(), this.#said);
  }
}

export class Conversation {
  readonly #mesh: VirtualMesh;
  readonly #reply: ReplyRecorder;
  readonly #request: SeenRequest;
  readonly #directions: readonly Direction[];

  private constructor(mesh: VirtualMesh, reply: ReplyRecorder, request: SeenRequest) {
    this.#mesh = mesh;
    this.#reply = reply;
    this.#request = request;
    const nowMs = mesh.clock.monotonicMs();
    this.#directions = [
      new Direction(
        nowMs,
        (chunk) => reply.body?.write(chunk),
        () => request.text,
      ),
      new Direction(
        nowMs,
        (chunk) => request.reply.onData(chunk),
        () => reply.text,
      ),
    ];
  }

  /** `handler` is the one of `api`, which answers nothing by itself. */
  static async begin(mesh: VirtualMesh, caller: Agent, handler: RecordingHandler): Promise<Conversation> {
    const before = handler.seen.length;
    const reply = send(caller.outbound, { method: 'POST' }, false);
    await mesh.until(() => handler.seen.length > before);
    const request = handler.seen.at(-1) as SeenRequest;
    request.reply.onHead(responseHead(200), false);
    return new Conversation(mesh, reply, request);
  }

  /** Longest time in which one end heard nothing of the other, in milliseconds. */
  get longestStallMs(): number {
    return Math.max(...this.#directions.map(({ longestStallMs }) => longestStallMs));
  }

  forgetStalls(): void {
    for (const direction of this.#directions) direction.longestStallMs = 0;
  }

  /** Both ends speak every `everyMs`. */
  async goOn(forMs: number, everyMs = 20): Promise<void> {
    const { clock } = this.#mesh;
    for (const untilMs = clock.monotonicMs() + forMs; clock.monotonicMs() < untilMs; ) {
      for (const direction of this.#directions) direction.say();
      await clock.advanceAsync(everyMs);
      for (const direction of this.#directions) direction.listen(clock.monotonicMs());
    }
  }

  /** Ends it: everything that was said has arrived, once and in order, on both ends. */
  async finish(): Promise<void> {
    this.#reply.body?.end(NO_FIELDS);
    this.#request.reply.onEnd(NO_FIELDS);
    await this.#mesh.clock.advanceAsync(1_000);
    equal(this.#reply.error ?? this.#request.aborted, undefined);
    deepEqual([this.#request.trailers, this.#reply.trailers], [NO_FIELDS, NO_FIELDS]);
    for (const direction of this.#directions) direction.check();
  }
}
