/** P13: does a request cost more where there is more of everything? */
import { TestMesh } from '../../test/support/mesh.ts';
import type { Bench } from '../kit/bench.ts';
import type { Contender, Running } from '../kit/contender.ts';
import { compare, type Measured, middle, type Round } from '../kit/measure.ts';
import { Agents } from '../kit/membership.ts';
import type { Figure, Question, Series } from '../kit/question.ts';
import { applyRoutes, writeScript, writeServicesScript } from '../kit/routes.ts';
import { microsPerRequest } from '../kit/throughput.ts';
import { runWrk, type WrkResult } from '../kit/wrk.ts';

const CONNECTIONS = [1, 4, 16, 64, 256];
const PEERS = [1, 10, 100];
const ROUTES = [10, 100, 1_000, 10_000];
/** The last one is what a hub takes of one instance. */
const SERVICES = [1, 8, 64];
const AT_64 = 64;

export const P13: Question = {
  id: 'P13',
  asks: 'How does the cost of a request grow with connections, peers, routes and services?',
  load: 'wrk: 1 to 256 connections; 64 connections to a service of 1 to 100 instances; 64 connections with 10 to 10,000 routes of the service; 64 connections to 1 to 64 services in turn',
  needs: ['nginx', 'wrk', 'curl'],

  async run(bench) {
    const answers = [
      await growConnections(bench),
      await growPeers(bench),
      await growRoutes(bench),
      await growServices(bench),
    ];
    return {
      figures: answers.flatMap(({ figures }) => figures),
      series: answers.map(({ series }) => series),
      rounds: answers.map(({ rounds }) => rounds),
    };
  },
};

interface Growth {
  readonly figures: readonly Figure[];
  readonly series: Series;
  readonly rounds: readonly Round<WrkResult>[];
}

/** What is asked of contender N of `sizes`. */
interface Step extends Contender {
  readonly size: number;
  readonly connections: number;
  readonly script?: string;
}

/** Both sidecars count. */
async function growConnections(bench: Bench): Promise<Growth> {
  const pair = await bench.startSkein({ runtime: 'node', way: 'direct' });
  const steps = CONNECTIONS.map((size) => ({ ...pair, name: `${size} connections`, size, connections: size }));
  return grow(bench, steps, { what: 'connections', group: 'proxies' });
}

/** One sidecar calls; the instances are agents of one process, whose time does not count. */
async function growPeers(bench: Bench): Promise<Growth> {
  const steps: Step[] = [];
  for (const size of PEERS) {
    bench.progress(`starting a service of ${size} instances`);
    const mesh = await TestMesh.start();
    bench.keep(() => mesh.close());
    const agents = await Agents.start(mesh);
    bench.keep(async () => void (await agents.program.kill()));
    await agents.join(size, 'app');
    steps.push({ ...(await startCaller(mesh)), name: `${size} peers`, size, connections: AT_64 });
  }
  return grow(bench, steps, { what: 'peers', group: 'caller' });
}

/** Only the sidecar that calls looks for routes. */
async function growRoutes(bench: Bench): Promise<Growth> {
  const steps: Step[] = [];
  const origin = await bench.origin();
  for (const size of ROUTES) {
    bench.progress(`applying ${size} routes`);
    const mesh = await TestMesh.start();
    bench.keep(() => mesh.close());
    await applyRoutes(mesh, size);
    const expose = [`app=http://${origin.address}`];
    await mesh.startSidecar({ name: 'callee', services: ['app'], expose, http: false, direct: true });
    const caller = await startCaller(mesh);
    steps.push({ ...caller, name: `${size} routes`, size, connections: AT_64, script: writeScript(mesh, size) });
  }
  return grow(bench, steps, { what: 'routes', group: 'caller' });
}

/** Services of one instance: each has routes, endpoints, counters and a balancer of its own at the sidecar that calls. */
async function growServices(bench: Bench): Promise<Growth> {
  const steps: Step[] = [];
  const origin = await bench.origin();
  for (const size of SERVICES) {
    bench.progress(`exposing ${size} services`);
    const mesh = await TestMesh.start();
    bench.keep(() => mesh.close());
    const services = Array.from({ length: size }, (_, i) => `app-${i}`);
    const expose = services.map((service) => `${service}=http://${origin.address}`);
    await mesh.startSidecar({ name: 'callee', services, expose, http: false, direct: true });
    const caller = { ...(await startCaller(mesh)), host: 'app-0.mesh' };
    steps.push({
      ...{ ...caller, name: `${size} services`, size, connections: AT_64 },
      script: writeServicesScript(mesh, size),
    });
  }
  return grow(bench, steps, { what: 'services', group: 'caller' });
}

async function startCaller(mesh: TestMesh): Promise<Omit<Running, 'close'>> {
  const caller = await mesh.startSidecar({ name: 'caller', services: ['client'], direct: true });
  return {
    ...{ name: 'caller', description: 'sidecar', configuration: [], address: caller.http, host: 'app.mesh' },
    pids: () => ({ caller: [caller.program.pid] }),
  };
}

async function grow(
  bench: Bench,
  steps: readonly Step[],
  { what, group }: { what: string; group: string },
): Promise<Growth> {
  const run = (step: Step, seconds: number) => runWrk(step, { ...step, seconds });
  for (const step of steps) await run(step, 2); // warm
  const byName = new Map(steps.map((step) => [step.name, step]));
  const rounds = await bench.rounds(steps, ({ name }) => run(byName.get(name) as Step, bench.seconds));
  const micros = (measured: Measured<WrkResult>) => microsPerRequest(measured, group);
  const points = steps.map(({ name, size }) => [size, middle(rounds, name, micros)] as const);
  const figures = steps.slice(1).map(({ name }, i): Figure => {
    // Nothing that there is more of may make a request dearer than it was with any number below.
    const smaller = steps.slice(0, i + 1).map((step) => ({ step, costs: middle(rounds, step.name, micros) }));
    const { step } = smaller.reduce((best, each) => (each.costs < best.costs ? each : best));
    return {
      ...{ what: 'processor time per request', unit: 'µs' },
      ...{ own: `skein on Node, ${name}`, peer: `skein on Node, ${step.name}` },
      ...compare(rounds, name, step.name, micros),
      goal: { bound: 'at most', value: 1.3, of: 'ratio' },
    };
  });
  return { figures, series: { name: what, x: what, y: 'µs per request', points }, rounds };
}
