/** The demo's call and what the hub saw of it, as facts, and as a text for the person who watches. */

import { SkeinError } from '../core/errors.ts';
import { AdminClient, asRecord } from './admin-client.ts';
import { askThrough } from './demo-apps.ts';
import type { DemoMesh } from './demo-mesh.ts';

export const HELLO_URL = 'http://hello.mesh/';

export interface CallFacts {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
  /** SPIFFE id → where the hub sees the link of that member come from. */
  readonly dialledFrom: Readonly<Record<string, string>>;
  /** What the hub has passed on between the two so far, unread. */
  readonly relayed: { readonly circuits: number; readonly records: number; readonly bytes: number };
}

/** Calls from site A to site B, as an application with a proxy would. @throws SkeinError when the answer is not 200 */
export async function makeCall({ hub, a }: DemoMesh, nowMs: () => number): Promise<CallFacts> {
  const begunMs = nowMs();
  const { status, text } = await askThrough(a.addresses.http ?? '', HELLO_URL);
  const ms = Math.round(nowMs() - begunMs);
  if (status !== 200) throw new SkeinError('SKEIN_INTERNAL', `Cannot show the call: it was answered with ${status}`);
  const seen = asRecord(await new AdminClient({ url: hub.url, token: hub.adminToken }).get('/v1/status'));
  const relay = asRecord(seen.relay);
  const members = Array.isArray(seen.sidecars) ? seen.sidecars.map(asRecord) : [];
  return {
    ...{ status, text: text.trimEnd(), ms },
    dialledFrom: Object.fromEntries(members.map(({ id, address }) => [String(id), String(address)])),
    relayed: { circuits: Number(relay.circuits), records: Number(relay.records), bytes: Number(relay.bytes) },
  };
}

export function tell({ hub, a, b, webUrl }: DemoMesh, { status, text, ms, dialledFrom, relayed }: CallFacts): string {
  const proxy = a.addresses.http ?? '';
  const tries: readonly [command: string, does: string][] = [
    [`curl -x ${proxy} ${HELLO_URL}`, 'the same call'],
    [`curl ${webUrl}/`, 'web, which makes it for its visitors'],
    [`curl -x ${proxy} ${HELLO_URL} -H 'x-skein-client-id: spiffe://nobody'`, 'an identity that is only claimed'],
    [`curl -i -x ${proxy} http://nobody.mesh/`, 'an answer of the mesh itself, with its reason'],
    [`curl ${a.addresses.admin}/metrics`, 'what the sidecar of site A has counted'],
  ];
  return `
  web ── sidecar A ═══ hub ═══ sidecar B ── hello

  site A  ${a.id}, dialled the hub from ${dialledFrom[a.id]}
  site B  ${b.id}, dialled the hub from ${dialledFrom[b.id]}
  hub     ${hub.url}, dials nobody; neither site listens for the other

The call: GET ${HELLO_URL} at the proxy of sidecar A
  path    web → sidecar A → hub (relay) → sidecar B → hello
  answer  ${status} in ${ms} ms: ${text}
  hub     passed on ${relayed.records} sealed records, ${relayed.bytes} bytes, which it cannot read

Try:
${tries.map(([command, does]) => `  # ${does}\n  ${command}`).join('\n')}

Nothing is kept on disk. Ctrl-C ends it.
`;
}
