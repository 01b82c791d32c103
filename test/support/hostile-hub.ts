/** The lab of the hostile hub: members with requests under way, one hub in hostile hands and an honest one beside it. */
import { deepEqual } from 'node:assert/strict';
import type { Agent } from '../../src/agent/agent.ts';
import type { AgentOptions } from '../../src/agent/options.ts';
import { SkeinError } from '../../src/core/errors.ts';
import { getField } from '../../src/http/head.ts';
import { TunnelObserver } from '../../src/telemetry/observe.ts';
import { Metrics } from '../../src/telemetry/prometheus.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { BentLine } from './bent-line.ts';
import type { EventLog } from './event-log.ts';
import { printFigures } from './figures.ts';
import { HostilePublisher } from './hostile-publisher.ts';
import { RecordingHandler, ReplyRecorder, requestHead } from './http.ts';
import { VirtualMesh } from './virtual-mesh.ts';

export const HOSTILE = 'ws://10.0.0.1:7000';
export const HONEST = 'ws://10.0.0.1:7001';
const REQUEST_EVERY_MS = 200;
const ANSWER_BYTES = 3_000;

export interface LabMember {
  readonly name: string;
  readonly agent: Agent;
  readonly log: EventLog;
  readonly metrics: Metrics;
}

/** What came of the requests: each is told apart by who asks, whom, and its number. */
export interface Outcome {
  asked: number;
  answered: number;
  /** Ended with an error that the caller was told. */
  failed: number;
  denied: number;
  /** Answers with a byte that is not of the answer to this request. */
  wrong: number;
  /** Requests that came to an application that was not asked, or in the name of another caller. */
  misdelivered: number;
}

export class HostileHubLab {
  readonly mesh: VirtualMesh;
  readonly line: BentLine;
  readonly members = new Map<string, LabMember>();
  /** Why requests failed. */
  readonly errors = new Map<string, number>();
  readonly outcome: Outcome = { asked: 0, answered: 0, failed: 0, denied: 0, wrong: 0, misdelivered: 0 };
  readonly #counted = new Map<string, number>();
  #publisher: HostilePublisher | undefined;
  #number = 0;

  private constructor(t: ConstructorParameters<typeof VirtualMesh>[0], random = new SeededRandom()) {
    this.mesh = new VirtualMesh(t, random);
    this.line = new BentLine(this.mesh.clock, random);
  }

  /** Two hubs of one store and one issuer; the first is in hostile hands, and preferred. */
  static async start(
    t: ConstructorParameters<typeof VirtualMesh>[0],
    prepare: (publisher: HostilePublisher) => void = () => undefined,
  ): Promise<HostileHubLab> {
    const lab = new HostileHubLab(t);
    const createPublisher = (options: ConstructorParameters<typeof HostilePublisher>[0]): HostilePublisher => {
      lab.#publisher = new HostilePublisher(options);
      prepare(lab.#publisher);
      return lab.#publisher;
    };
    await lab.mesh.startShared(7000, {}, undefined, { createPublisher });
    await lab.mesh.startShared(7001);
    return lab;
  }

  /** What the hostile hub tells. */
  get publisher(): HostilePublisher {
    if (this.#publisher === undefined) throw new Error('There is no hostile hub');
    return this.#publisher;
  }

  /** A member of both hubs, that serves `name` when it is told to. */
  async join(name: string, serves: boolean, options: Partial<AgentOptions> = {}): Promise<LabMember> {
    const { mesh } = this;
    const metrics = new Metrics();
    const { agent, log } = await mesh.createAgent(
      { token: await mesh.token(name), hub: [HOSTILE, HONEST], ...options },
      this.line.platform(mesh.platform, HOSTILE),
      { observer: new TunnelObserver(metrics) },
    );
    await mesh.run(agent.start());
    const member = { name, agent, log, metrics };
    this.members.set(name, member);
    if (serves) await mesh.serve(agent, `${name}.default`, { protocol: 'http', handler: this.#application(name) });
    return member;
  }

  /** Until every member has a link to both hubs. */
  async connected(): Promise<void> {
    await this.mesh.until(() =>
      [...this.members.values()].every(({ agent }) => agent.hubs.every(({ state }) => state === 'connected')),
    );
  }

  get(name: string): LabMember {
    const member = this.members.get(name);
    if (member === undefined) throw new Error(`No member "${name}"`);
    return member;
  }

  /** Every caller asks every service, again and again, for `forMs`. Resolves when all have been told what came of it. */
  async drive(callers: readonly string[], services: readonly string[], forMs: number): Promise<void> {
    const under: Promise<void>[] = [];
    for (let atMs = 0; atMs < forMs; atMs += REQUEST_EVERY_MS) {
      for (const caller of callers) for (const service of services) under.push(this.ask(caller, service));
      await this.mesh.clock.advanceAsync(REQUEST_EVERY_MS);
    }
    await this.mesh.run(Promise.all(under));
  }

  async ask(caller: string, service: string): Promise<void> {
    const { outcome } = this;
    const number = ++this.#number;
    outcome.asked++;
    const reply = new ReplyRecorder();
    const head = requestHead({ authority: `${service}.mesh`, path: `/${caller}/${number}` });
    reply.body = this.get(caller).agent.outbound.request(head, true, reply);
    await reply.done;
    const status = reply.head?.status;
    if (reply.error !== undefined || (status !== 200 && status !== 403)) {
      outcome.failed++;
      const reason = reply.error?.reason ?? String(status);
      this.errors.set(reason, (this.errors.get(reason) ?? 0) + 1);
    } else if (status === 403) outcome.denied++;
    else if (reply.text === answerOf(service, caller, number)) outcome.answered++;
    else outcome.wrong++;
  }

  /** Sessions of `callers` are over: the next request opens another one. */
  endSessions(callers: readonly string[]): void {
    for (const caller of callers) {
      for (const session of [...this.get(caller).agent.peers.sessions()]) {
        session.close(new SkeinError('SKEIN_CANCELLED', 'Cannot keep session: it is over'));
      }
    }
  }

  /** Sum of a metric of the members over all its labels, or those that `labels` names. */
  async count(metric: string, labels = ''): Promise<number> {
    let sum = 0;
    for (const { metrics } of this.members.values()) {
      for (const line of (await metrics.render()).split('\n')) {
        if (!line.startsWith(metric) || !/[ {]/.test(line.charAt(metric.length)) || !line.includes(labels)) continue;
        sum += Number(line.slice(line.lastIndexOf(' ') + 1));
      }
    }
    return sum;
  }

  /** From now on these are counted. */
  async watch(metrics: readonly string[]): Promise<void> {
    for (const metric of metrics) this.#counted.set(metric, await this.count(metric));
  }

  /** Prints what came of a switch, and holds it to what no hub can do. */
  async report(
    name: string,
    more: object = {},
  ): Promise<{ attacks: number; counted: Readonly<Record<string, number>> }> {
    const counted: Record<string, number> = {};
    for (const [metric, before] of this.#counted) counted[metric] = (await this.count(metric)) - before;
    const attacks = this.line.done;
    printFigures('hostile-hub', {
      switch: name,
      attacks,
      ...this.outcome,
      errors: Object.fromEntries(this.errors),
      counted,
      ...more,
    });
    deepEqual([this.outcome.wrong, this.outcome.misdelivered], [0, 0], 'bytes wrong, requests misdelivered');
    return { attacks, counted };
  }

  /** What members did not use because it was not sealed, by cause. */
  refusals(): { readonly refused: Readonly<Record<string, number>> } {
    const refused: Record<string, number> = {};
    for (const { agent } of this.members.values()) {
      for (const [cause, count] of Object.entries(agent.mirror.seals?.stats.refused ?? {})) {
        if (count > 0) refused[cause] = (refused[cause] ?? 0) + count;
      }
    }
    return { refused };
  }

  /** Lines of an event in the logs of the members. */
  logged(event: string): number {
    let count = 0;
    for (const { log } of this.members.values()) count += log.of(event).length;
    return count;
  }

  #application(service: string): RecordingHandler {
    return new RecordingHandler((request) => {
      const { head } = request;
      const [, caller = '', number = ''] = head.path.split('/');
      const id = getField(head.fields, 'x-skein-client-id');
      const isRight = head.authority === `${service}.mesh` && id === this.get(caller).agent.id.uri;
      if (!isRight) this.outcome.misdelivered++;
      request.answer(200, answerOf(service, caller, Number(number)));
    });
  }
}

/** No two answers are alike, and none has a part that fits another. */
function answerOf(service: string, caller: string, number: number): string {
  let text = '';
  for (let at = 0; text.length < ANSWER_BYTES; at++) text += `${service} to ${caller}, ${number}.${at};`;
  return text;
}
