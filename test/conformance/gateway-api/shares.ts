/** Shares of requests: 500 of them by each kind of client, and who answered how many. */
import { equal } from 'node:assert/strict';
import { Agent } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import type { TestContext } from 'node:test';
import { callGrpc } from './grpc.ts';
import type { ClientName, GatewayMesh } from './harness.ts';
import type { Report } from './origin.ts';

const REQUESTS = 500;
const AT_ONCE = 10;

export interface ShareOptions {
  readonly from: ClientName;
  readonly to: string;
  /** Backend → percent; whoever is not named gets nothing, and `none` is a failure. */
  readonly wanted: Readonly<Record<string, number>>;
}

/** By new connections, by kept ones, and by the streams of one HTTP/2 connection. */
export async function checkHttpShares(mesh: GatewayMesh, t: TestContext, options: ShareOptions): Promise<void> {
  const { from, to } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  t.after(() => agent.destroy());
  const ask = async (kept: Agent | undefined): Promise<string> => {
    const { status, body } = await mesh.ask({ from, to }, kept);
    return status === 200 ? (JSON.parse(body.toString()) as Report).backend : `${status}`;
  };
  await checkShares(t, 'connections', options, () => ask(undefined));
  await checkShares(t, 'keep-alive', options, () => ask(agent));
  const session = mesh.connect(t, from);
  await checkShares(t, 'h2', options, () => askH2(session, to));
}

export async function checkGrpcShares(mesh: GatewayMesh, t: TestContext, options: ShareOptions): Promise<void> {
  const session = mesh.connect(t, options.from);
  const path = '/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo';
  await checkShares(t, 'gRPC', options, async () => {
    const { grpcStatus, report } = await callGrpc(session, options.to, path);
    return grpcStatus === 0 ? (report?.backend ?? '') : `${grpcStatus}`;
  });
}

/** Turns are taken exactly, so that one run is enough: ± 1 request and not ± 5 points. */
async function checkShares(
  t: TestContext,
  name: string,
  { wanted }: ShareOptions,
  once: () => Promise<string>,
): Promise<void> {
  const counts: Record<string, number> = {};
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    for (const who of await Promise.all(Array.from({ length: AT_ONCE }, once))) counts[who] = (counts[who] ?? 0) + 1;
  }
  const said = `${name}: ${JSON.stringify(counts)}`;
  t.diagnostic(said);
  for (const who of new Set([...Object.keys(counts), ...Object.keys(wanted)])) {
    const due = ((wanted[who] ?? 0) * REQUESTS) / 100;
    equal(Math.abs((counts[who] ?? 0) - due) <= (due === 0 ? 0 : 1), true, said);
  }
}

function askH2(session: ClientHttp2Session, to: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/', ':authority': to });
    let status = 0;
    let text = '';
    stream.on('response', (head) => {
      status = Number(head[':status']);
    });
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('error', reject);
    stream.on('end', () => resolve(status === 200 ? (JSON.parse(text) as Report).backend : `${status}`));
  });
}
