/** `TunnelObserver`: links by state and cause of their end, sessions by path and reason of their end, times to resume. */

import { deepEqual, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { TunnelObserver } from '../../../src/telemetry/observe.ts';
import { Metrics } from '../../../src/telemetry/prometheus.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { createLinks, createSession, type LinkPair } from '../../support/tunnel.ts';

const GONE = new SkeinError('SKEIN_SESSION_LOST', 'Cannot go on: this is a test');

/** Samples of one metric, by their labels. */
async function read(metrics: Metrics, name: string): Promise<Record<string, number>> {
  const lines = (await metrics.render()).split('\n').filter((line) => line.startsWith(`${name}{`));
  return Object.fromEntries(
    lines.map((line) => {
      const [, label = '', value] = /"(\w[\w-]*)"\} (\S+)$/.exec(line) ?? [];
      return [label, Number(value)];
    }),
  );
}

test('Links are counted by state, and by the cause of their end', async () => {
  const metrics = new Metrics();
  const observer = new TunnelObserver(metrics);
  const clock = new VirtualClock();
  const pairs: LinkPair[] = [];
  const create = (): LinkPair => {
    const pair = createLinks({ latencyMs: 5, seed: pairs.length }, clock);
    pairs.push(pair);
    observer.watchLink(pair.a);
    return pair;
  };
  const left = create();
  const cut = create();
  const closed = create();
  const dead = create();
  const given = create();
  await clock.advanceAsync(1_000);
  deepEqual(await read(metrics, 'skein_links'), { open: 5, silent: 0 });
  dead.wire.blackhole();
  given.wire.blackhole();
  left.a.close(1000, 'done');
  cut.wire.cut();
  closed.b.close(1001, 'going away');
  await clock.advanceAsync(20_000);
  for (const { a } of [left, cut, closed]) observer.forgetLink(a);
  deepEqual(await read(metrics, 'skein_links'), { open: 0, silent: 2 });
  given.a.close(1000, 'another took its place');
  await clock.advanceAsync(10_000);
  for (const { a } of pairs) observer.forgetLink(a);
  deepEqual(await read(metrics, 'skein_links_ended_total'), {
    ...{ closed: 1, left: 1, cut: 1, silent: 2, stalled: 0, protocol: 0 },
  });
  deepEqual(await read(metrics, 'skein_links'), { open: 0, silent: 0 });
});

test('Sessions are counted by their path, and by the reason of their end; what they lost and found is timed', async () => {
  const metrics = new Metrics();
  const observer = new TunnelObserver(metrics);
  const clock = new VirtualClock();
  const links = createLinks({ latencyMs: 5 }, clock);
  const other = createLinks({ latencyMs: 5, seed: 2 }, clock);
  const options = {
    isResumable: true,
    path: { kind: 'relay', via: 'hub' },
    onResumed: (afterMs: number) => observer.noteResumed(afterMs),
  } as const;
  const hub = createSession('initiator', links.a.control, links, undefined);
  createSession('responder', links.b.control, links, undefined);
  const near = links.a.openCircuit();
  const session = createSession('initiator', near, links, undefined, options);
  const peer = createSession('responder', links.b.adoptCircuit(near.id), links, undefined, { isResumable: true });
  observer.watchSession(hub.session);
  observer.watchSession(session.session);
  ok(await clock.advanceUntil(() => hub.session.isOpen && session.session.isOpen && peer.session.isOpen, 5_000));
  deepEqual(await read(metrics, 'skein_session_paths'), { relay: 1, direct: 0, none: 0, hub: 1 });
  links.wire.cut();
  await clock.advanceAsync(1_500);
  observer.forgetSession(hub.session, hub.error ?? GONE);
  deepEqual(await read(metrics, 'skein_session_paths'), { relay: 0, direct: 0, none: 1, hub: 0 });
  const again = other.a.openCircuit();
  const far = other.b.adoptCircuit(again.id);
  far.attach({
    onRecord: (message) => {
      peer.session.acceptPath(far, { kind: 'direct', via: '203.0.113.1:7' }, message);
    },
    onWritable: () => undefined,
    onClose: () => undefined,
  });
  session.session.offerPath(again, { kind: 'direct', via: '203.0.113.7:7443' });
  await clock.advanceAsync(1_000);
  deepEqual(await read(metrics, 'skein_session_paths'), { relay: 0, direct: 1, none: 0, hub: 0 });
  const text = await metrics.render();
  match(text, /^skein_session_resume_seconds_count 1$/m);
  match(text, /^skein_session_resume_seconds_bucket\{le="1"\} 0$/m);
  match(text, /^skein_session_resume_seconds_bucket\{le="2"\} 1$/m);
  ok(session.session.stats.resumes === 1);
  session.session.close(GONE);
  observer.forgetSession(session.session, GONE);
  observer.forgetSession(session.session, GONE);
  deepEqual(await read(metrics, 'skein_sessions_closed_total'), { 'hub-unreachable': 1, 'session-lost': 1 });
});
