/** P7: small requests while a bulk stream takes all it can get, on the same session. */
import { setTimeout as wait } from 'node:timers/promises';
import { Program } from '../../test/support/process.ts';
import type { Contender } from '../kit/contender.ts';
import { compare } from '../kit/measure.ts';
import { type OpenLoopResult, runOpenLoop } from '../kit/open-loop.ts';
import type { Figure, Goal, Question } from '../kit/question.ts';
import { NGINX } from '../peers/nginx.ts';

const PER_SECOND = 500;
const CONNECTIONS = 16;
/** Until windows and congestion control of the bulk stream have grown. */
const GROWN_MS = 1_000;
/** Of the stream that leaves room for others. */
const LIMITED = '50M';

type Bulk = 'none' | 'all' | 'limited';

export const P7: Question = {
  id: 'P7',
  asks: 'How long do small requests take while a bulk stream runs on the same session?',
  load: `open loop, ${PER_SECOND} requests a second, each measured from the moment it was due`,
  needs: ['nginx', 'openssl', 'curl'],

  async run(bench) {
    const skein = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const nginx = await bench.requirePeer(NGINX);
    const bulks = new Map<string, Bulk>();
    const variant = (contender: Contender, bulk: Bulk, suffix: string): Contender => {
      const name = `${contender.name}${suffix}`;
      bulks.set(name, bulk);
      return { ...contender, name };
    };
    const alone = variant(skein, 'none', '');
    const beside = variant(skein, 'all', ', beside a download');
    const limited = variant(skein, 'limited', ', beside a download of 50 MB/s');
    const nginxAlone = variant(nginx, 'none', '');
    const nginxBeside = variant(nginx, 'all', ', beside a download');
    const contenders = [alone, beside, limited, nginxAlone, nginxBeside];
    for (const each of [alone, nginxAlone]) await ask(each, 'none', 2); // warm
    const rounds = await bench.rounds(contenders, (each) => ask(each, bulks.get(each.name) ?? 'none', bench.seconds));
    const figures = (own: Contender, peer: Contender, goal?: Goal): Figure[] => {
      const against = { unit: 'ms', own: own.name, peer: peer.name };
      return [
        { what: 'p99', ...against, goal, ...compare(rounds, own.name, peer.name, ({ result }) => result.p99Ms) },
        { what: 'p50', ...against, ...compare(rounds, own.name, peer.name, ({ result }) => result.p50Ms) },
      ];
    };
    return {
      figures: [
        ...figures(beside, alone, { bound: 'at most', value: 2, of: 'ratio' }),
        ...figures(limited, alone),
        ...figures(nginxBeside, nginxAlone),
        ...figures(beside, nginxBeside),
      ],
      rounds,
    };
  },
};

async function ask({ address, host }: Contender, bulk: Bulk, seconds: number): Promise<OpenLoopResult> {
  const stream = bulk === 'none' ? undefined : startBulk({ address, host }, bulk);
  try {
    if (stream !== undefined) await wait(GROWN_MS);
    const result = await runOpenLoop({ address, host, perSecond: PER_SECOND, seconds, connections: CONNECTIONS });
    if (stream?.hasExited) throw new Error(`The bulk stream ended\n${stream.tail()}`);
    return result;
  } finally {
    await stream?.kill();
  }
}

function startBulk({ address, host }: { address: string; host: string | undefined }, bulk: Bulk): Program {
  const options = [
    ...(host === undefined ? [] : ['-H', `Host: ${host}`]),
    ...(bulk === 'limited' ? ['--limit-rate', LIMITED] : []),
  ];
  return new Program('curl', ['-sS', '-o', '/dev/null', ...options, `http://${address}/endless`], {
    name: 'bulk stream',
  });
}
