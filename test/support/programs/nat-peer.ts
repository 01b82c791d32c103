/**
 * One end of a pair that looks for a direct path, with a dial that may come late: `NatPeerOptions` as JSON. `b` serves until
 * it is killed; `a` calls `b` until the records of both go there directly, or it is known that they will not, and prints what it saw.
 */
import process from 'node:process';
import { createAgent } from '../../../src/agent/agent.ts';
import { ALL_PARTS } from '../../../src/agent/all-parts.ts';
import { createFetch } from '../../../src/agent/fetch.ts';
import { createServeHandler } from '../../../src/agent/serve.ts';
import { wait } from '../../../src/core/clock.ts';
import type { DirectSockets, Platform } from '../../../src/core/platform.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { EventLog } from '../local-mesh.ts';

export interface NatPeerOptions {
  readonly end: 'a' | 'b';
  readonly hub: string;
  /** Undefined: it has been here before, and its identity is in `data`. */
  readonly token: string | undefined;
  readonly data: string;
  /** How late the first dial to the peer is, as if the word to go had been under way so much longer. */
  readonly lateMs: number;
}

/** Times in milliseconds from the opening of the session; undefined: it did not come about. */
export interface NatPeerResult {
  readonly state: string;
  readonly kind: string | undefined;
  readonly reason: string | undefined;
  readonly nat: string;
  readonly peerNat: string;
  readonly rounds: number;
  /** Both ends have proven on the direct link that they are the ends of the session. */
  readonly attachedMs: number | undefined;
  /** Records of this end go there. */
  readonly movedMs: number | undefined;
  readonly gaveUpMs: number | undefined;
  readonly requests: number;
  readonly failures: number;
}

const REQUESTS_AFTER = 10;
/** Once a way is open records move within a second or two; in vain is known after three rounds. */
const LIMIT_MS = 20_000;

const { end, hub, token, data, lateMs } = JSON.parse(process.argv[2] ?? '') as NatPeerOptions;
const base = nodePlatform();
const platform: Platform = { ...base, directSockets: withLateDial(base.directSockets as DirectSockets) };
const { clock } = platform;
const log = new EventLog();
const agent = await createAgent(platform, { hub, token, data, log }, ALL_PARTS);
await agent.start();

if (end === 'b') {
  const handler = createServeHandler(() => new Response('hello'), { log, windowBytes: 65_536 });
  await agent.serve({ service: 'b.default', port: 80, labels: {}, target: { protocol: 'http', handler } }).registered;
  process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'b', addresses: {} })}\n`);
} else {
  process.stdout.write(`${JSON.stringify(await observe())}\n`);
  process.exit(0);
}

/** The dials with a chosen local port are to reflectors, which answer at once, and then to the peer. */
function withLateDial(sockets: DirectSockets): DirectSockets {
  let isFirst = true;
  return {
    ...sockets,
    connect: async (to) => {
      const isToPeer = to.localPort !== undefined && to.port >= 20_000;
      if (isToPeer && isFirst && lateMs > 0) {
        isFirst = false;
        await wait(base.clock, lateMs, to.signal);
      }
      return sockets.connect(to);
    },
  };
}

async function observe(): Promise<NatPeerResult> {
  const fetch = createFetch(agent.outbound);
  const times: Record<string, number> = {};
  for (const event of ['session-opened', 'direct-path', 'no-direct-path']) {
    void log.waitFor(event).then(() => {
      times[event] = clock.monotonicMs();
    });
  }
  let [requests, failures] = [0, 0];
  const ask = async (): Promise<void> => {
    requests++;
    const text = await fetch('http://b.mesh/').then(
      (reply) => reply.text(),
      () => '',
    );
    if (text !== 'hello') failures++;
  };
  const session = () => [...agent.peers.all()][0]?.session;
  const isMoved = (): boolean =>
    session()?.paths.some(({ kind, state }) => kind === 'direct' && state === 'active') ?? false;
  const startedMs = clock.monotonicMs();
  while (!isMoved() && times['no-direct-path'] === undefined && clock.monotonicMs() - startedMs < LIMIT_MS) await ask();
  const movedMs = isMoved() ? clock.monotonicMs() : undefined;
  for (let i = 0; i < REQUESTS_AFTER; i++) await ask();
  const current = session();
  const status = current === undefined ? undefined : agent.direct.status(current);
  const since = (atMs: number | undefined): number | undefined =>
    atMs === undefined ? undefined : Math.round(atMs - (times['session-opened'] ?? atMs));
  return {
    state: status?.state ?? 'no session',
    kind: status?.kind,
    reason: status?.reason,
    nat: status?.nat ?? 'unknown',
    peerNat: status?.peerNat ?? 'unknown',
    rounds: Number(log.of('direct-path')[0]?.fields.rounds ?? 0),
    attachedMs: since(times['direct-path']),
    movedMs: since(movedMs),
    gaveUpMs: since(times['no-direct-path']),
    requests,
    failures,
  };
}
