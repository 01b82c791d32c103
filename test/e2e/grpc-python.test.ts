/** gRPC of Python, which shares no code with that of JavaScript, at both ends: four replicas behind one connection of the client. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { TestMesh } from '../support/mesh.ts';
import { Program } from '../support/process.ts';
import { root } from '../support/repository.ts';

/** Debian's, which has its packages, whatever other Python comes first in PATH. */
const PYTHON = '/usr/bin/python3';
const PEER = join(root, 'test/support/programs/grpc_peer.py');
const REQUESTS = 4_000;
const STATUSES = [
  ...['CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];

interface Found {
  readonly kinds: readonly unknown[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly statuses: Readonly<Record<string, readonly [name: string, details: string]>>;
  readonly trailersOnly: readonly [name: string, details: string];
  readonly large: readonly boolean[];
  readonly cancelled: string;
  readonly deadline: string;
  readonly budgetSeconds: number;
  readonly givenUp: number;
}

const skip = lacking('grpcio of Python');

describe("gRPC of Python's grpcio through five sidecars", () => {
  let mesh: TestMesh;
  const addresses = { caller: '', sharer: '' };
  let found: Found;

  before(async () => {
    if (skip) return;
    mesh = await TestMesh.start();
    const servers = new Program(PYTHON, [PEER, 'serve', '4'], { name: 'grpc servers' });
    mesh.programs.push(servers);
    const { ports } = JSON.parse(await servers.waitForOutput(/\n/)) as { ports: readonly number[] };
    for (const port of ports) {
      const expose = [`echo=h2c://127.0.0.1:${port}`];
      await mesh.startSidecar({ name: `replica ${port}`, services: ['echo'], http: false, expose });
    }
    for (const name of ['caller', 'sharer'] as const) {
      const sidecar = await mesh.startSidecar({ name, services: ['web'], http: false, tcp: ['echo'] });
      addresses[name] = sidecar.tcp('echo');
    }
  });
  after(() => mesh?.close());

  async function run(...args: readonly string[]): Promise<unknown> {
    const program = new Program(PYTHON, [PEER, ...args], { name: `grpc ${args[0]}` });
    mesh.programs.push(program);
    const { code } = await program.waitForExit(120_000);
    assert.equal(code, 0, program.tail());
    return JSON.parse(program.stdout);
  }

  it('All four kinds, metadata in front and behind, messages of 4 MiB', { skip }, async () => {
    found = (await run('call', addresses.caller)) as Found;
    assert.deepEqual(found.kinds, ['hello', '100000', true, 'abc']);
    assert.deepEqual(found.metadata, { value: 'metadata', first: 'head', last: 'trailer', binary: '00ff' });
    assert.deepEqual(found.large, [true, true, true, true]);
  });

  it('Every status, also where the answer is nothing but trailers', { skip }, () => {
    const expected = STATUSES.map((name, i) => [String(i + 1), [name, `as asked: ${i + 1}`]]);
    assert.deepEqual(found.statuses, Object.fromEntries(expected));
    assert.deepEqual(found.trailersOnly, ['DATA_LOSS', 'nothing, not even a head']);
  });

  it('Who cancels, or has a deadline, ends the call at the application, which knows how long it has', { skip }, () => {
    assert.equal(found.cancelled, 'CANCELLED');
    assert.equal(found.deadline, 'DEADLINE_EXCEEDED');
    assert.equal(found.givenUp, 2);
    // grpcio rounds what it sends up by at most a hundredth.
    assert.ok(found.budgetSeconds > 10 && found.budgetSeconds < 20.5, `${found.budgetSeconds} s of 20`);
  });

  it('Each request of one connection is balanced by itself', { skip }, async () => {
    const byReplica = (await run('share', addresses.sharer, String(REQUESTS))) as Record<string, number>;
    printFigures('grpcio: requests of one connection by replica', byReplica);
    const shares = Object.values(byReplica);
    assert.equal(shares.length, 4);
    // A quarter each, within 3 %, where nothing else runs; who shares a machine differs by what disturbs it (h2.test.ts).
    for (const share of shares) assert.ok(share >= REQUESTS / 16, `${shares}`);
    assert.deepEqual(mesh.accidents(), []);
  });
});
