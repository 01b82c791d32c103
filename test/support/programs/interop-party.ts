/** `interop-party HUB NAME`, token in TOKEN: a party of the interop matrix on Node, Bun or Deno. `{"id":1,"call":NAME}` on stdin makes it call. */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { createMesh, nodePlatform } from '../../../src/node.ts';
import { callParty, serveParty } from '../interop/party.ts';

const [hub = '', name = ''] = process.argv.slice(2);
const mesh = await createMesh({ hub, token: process.env.TOKEN, direct: false });
const runtime = nodePlatform().name;
await serveParty(mesh, name, runtime);
process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'party', addresses: {} })}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call } = JSON.parse(line) as { id: number; call: string };
  const findings = await callParty(mesh, call).catch((error: unknown) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify({ id, ...findings })}\n`);
}
await mesh.close();
