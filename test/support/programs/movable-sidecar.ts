/**
 * A sidecar of the product's parts whose records can be told to take another path: `MovableOptions` as JSON. Each line on stdin,
 * `{"id":1,"prefer":"direct"}`, moves the records of every session of this end by the fence, and is answered when they have
 * moved; with `"until"` in place of `"prefer"` it is left to the policy.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { createAgent } from '../../../src/agent/agent.ts';
import { ALL_PARTS } from '../../../src/agent/all-parts.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import type { DirectSockets, RawConnectOptions } from '../../../src/core/platform.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';
import { Capture } from '../../../src/sidecar/capture.ts';
import { Connections } from '../../../src/sidecar/connections.ts';
import { ExposedApp } from '../../../src/sidecar/exposed-app.ts';
import { listenForService } from '../../../src/sidecar/local-listeners.ts';
import { resolveSidecarOptions } from '../../../src/sidecar/options.ts';
import { listenProxy } from '../../../src/sidecar/proxy-listener.ts';
import { TunnelObserver } from '../../../src/telemetry/observe.ts';
import { Metrics } from '../../../src/telemetry/prometheus.ts';
import type { PathKind } from '../../../src/tunnel/path.ts';

export interface MovableOptions {
  readonly hub: string;
  readonly token: string;
  /** Applications, as `http://host:port` or `tcp://host:port`. */
  readonly expose?: readonly { readonly service: string; readonly target: string }[];
  /** Service to have a TCP listener for. */
  readonly tcp?: string;
  /** Port on 127.0.0.1 that is dialled in place of whatever a peer names: something in between that takes its time. */
  readonly dialThrough?: number;
}

export interface MoveResult {
  readonly id: number;
  /** From the word to the first record on the other path, in milliseconds. */
  readonly tookMs: number;
  /** Of all sessions since the program began, as its metrics tell. */
  readonly switches: number;
  readonly recordsSent: number;
  readonly recordsResent: number;
}

interface Command {
  readonly id: number;
  readonly prefer?: PathKind;
  readonly until?: PathKind;
}

const { hub, token, expose = [], tcp, dialThrough } = JSON.parse(process.argv[2] ?? '') as MovableOptions;
const local = { host: '127.0.0.1', port: 0 };
const base = hostPlatform();
const sockets = base.directSockets as DirectSockets;
const platform = {
  ...base,
  directSockets:
    dialThrough === undefined
      ? sockets
      : {
          ...sockets,
          connect: (to: RawConnectOptions) => sockets.connect({ ...to, host: '127.0.0.1', port: dialThrough }),
        },
};
const { clock, connectTcp, decodeLatin1, listenTcp } = platform;
if (connectTcp === undefined || listenTcp === undefined) throw new Error('This runtime has no TCP');
const log = SILENT_LOGGER;
const options = resolveSidecarOptions({
  hub,
  token,
  expose,
  listen: { tcp: tcp === undefined ? [] : [{ service: tcp, address: local }] },
});
const metrics = new Metrics();
const agent = await createAgent(platform, options.agent, { ...ALL_PARTS, observer: new TunnelObserver(metrics) });
const connections = new Connections({ clock, decodeLatin1 });
const capture = new Capture({ agent, connections, log });
const shared = { listenTcp, capture, connections };
const proxy = await listenProxy({ ...shared, address: local, names: agent.names });
const addresses: Record<string, string> = { http: `http://${proxy.address}` };
for (const listen of options.tcp) {
  addresses[`tcp:${listen.name}`] = (await listenForService({ ...shared, listen })).address;
  agent.watch(listen.service);
}
// Only who has an application is dialled: one direct path, and it is known through what it leads.
if (expose.length > 0) {
  const direct = await sockets.listen(local, (connection) => agent.direct.enter(connection));
  agent.direct.listensAt('127.0.0.1', direct.port);
  addresses.direct = direct.address;
}
await Promise.all(options.expose.map((exposed) => new ExposedApp({ platform, connectTcp, exposed, log }).start(agent)));
await agent.start();
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ event: 'ready', role: 'sidecar', addresses });

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  void move(command).then((tookMs) => answer(command.id, tookMs));
}
process.exit(0);

/** Resolves when records of this end take a path of that kind, whoever has moved them. */
function move({ prefer, until = prefer }: Command): Promise<number> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const look = (): void => {
      const waiting = [...agent.peers.all()].filter(({ session }) => session.activePath?.kind !== until);
      if (waiting.length === 0) return resolve(performance.now() - startedMs);
      if (prefer !== undefined) for (const { session } of waiting) session.preferPath(({ kind }) => kind === prefer);
      setTimeout(look, 1);
    };
    look();
  });
}

async function answer(id: number, tookMs: number): Promise<void> {
  const text = await metrics.render();
  const read = (name: string): number =>
    Number(new RegExp(`^skein_session_${name}_total (\\d+)$`, 'm').exec(text)?.[1]);
  const result: MoveResult = {
    ...{ id, tookMs, switches: read('path_switches') },
    ...{ recordsSent: read('records_sent'), recordsResent: read('records_resent') },
  };
  say(result);
}
