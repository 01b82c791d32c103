/** What the time of a refusal tells: whether a token's form was wrong or a signature was looked at, and nothing of any secret. */

import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { parseJoinToken } from '../../../src/auth/join-token.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { Enrolment } from '../../../src/hub/enroll.ts';
import { HUB_LIMITS } from '../../../src/hub/options.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { printFigures } from '../../support/figures.ts';
import { TOKEN_MUTANTS } from '../../support/token-mutants.ts';
import { WitIssuer } from '../../support/wit-issuer.ts';

const ROUNDS = 40;
/** Between the slowest and the fastest of what must be alike: far more than is measured on a busy machine. */
const ALIKE = 5;

type Trial = readonly [name: string, run: () => Promise<unknown>];

interface Timing {
  readonly name: string;
  readonly medianUs: number;
  /** Between the quartiles. */
  readonly spreadUs: number;
}

/** One after the other, round by round, so that what else the machine does falls on all alike. All are to be refused. */
async function measure(trials: readonly Trial[]): Promise<readonly Timing[]> {
  const clock = nodePlatform().clock;
  const times = trials.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, [name, run]] of trials.entries()) {
      const fromMs = clock.monotonicMs();
      const isRefused = await run().then(
        () => false,
        () => true,
      );
      times[at]?.push((clock.monotonicMs() - fromMs) * 1000);
      equal(isRefused, true, name);
    }
  }
  return trials.map(([name], at) => {
    const sorted = (times[at] ?? []).sort((a, b) => a - b);
    const quantile = (part: number): number => sorted[Math.floor(part * sorted.length)] ?? 0;
    return { name, medianUs: round(quantile(0.5)), spreadUs: round(quantile(0.75) - quantile(0.25)) };
  });
}

const round = (value: number): number => Number(value.toFixed(1));

function summarise(timings: readonly Timing[]) {
  const medians = timings.map(({ medianUs }) => medianUs).sort((a, b) => a - b);
  const spreads = timings.map(({ spreadUs }) => spreadUs).sort((a, b) => a - b);
  const middle = Math.floor(medians.length / 2);
  return {
    ...{ tried: timings.length, fastestUs: medians[0] ?? 0, medianUs: medians[middle], slowestUs: medians.at(-1) ?? 0 },
    spreadUs: spreads[middle],
  };
}

test('The time of a refusal tells whether a signature was looked at, and not which byte of it is wrong', async () => {
  const issuer = await WitIssuer.create();
  const { good } = issuer.wit;
  const table = await Promise.all(
    TOKEN_MUTANTS.map(async ([name, make]): Promise<Trial> => {
      const token = await make(issuer.wit);
      return [name, () => issuer.verifyWit(token)];
    }),
  );
  const [header, claims, signature = ''] = good.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  const flips = Array.from({ length: bytes.length }, (_, at): Trial => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 1;
    const token = `${header}.${claims}.${changed.toString('base64url')}`;
    return [`byte ${at} of the signature`, () => issuer.verifyWit(token)];
  });
  const timings = await measure([...table, ...flips]);
  const [mutants, bySignature] = [timings.slice(0, table.length), timings.slice(table.length)];
  const looked = summarise(bySignature);
  const isEarly = ({ medianUs }: Timing): boolean => medianUs < looked.fastestUs / 2;
  printFigures('refusals before a signature is looked at', summarise(mutants.filter(isEarly)));
  printFigures('refusals behind that', summarise(mutants.filter((each) => !isEarly(each))));
  printFigures('refusals of a signature, by the byte that is wrong', looked);
  ok(looked.slowestUs <= ALIKE * looked.fastestUs, JSON.stringify(looked));
});

test('The time of a refusal of a join token does not tell which byte of its secret is wrong', async () => {
  const clock = new VirtualClock();
  const { crypto } = nodePlatform();
  const enrolment = new Enrolment({
    ...{ store: new MemoryStore(), clock, random: new SeededRandom(7), crypto, log: SILENT_LOGGER },
    ...{ trustDomain: 'mesh.test', issuerThumbprint: 'A'.repeat(43), limits: HUB_LIMITS },
  });
  const { publicJwk } = await createIdentityKey();
  const create = async (ttlMs: number) => {
    const { id, secret } = parseJoinToken((await enrolment.createToken({ services: ['api'], ttlMs })).text);
    return { id, secret: secret.reveal() };
  };
  const [waiting, used, expired] = [await create(3_600_000), await create(3_600_000), await create(1_000)];
  await enrolment.admit(used, (await createIdentityKey()).publicJwk);
  clock.advance(2_000);
  const flips = Array.from({ length: waiting.secret.length }, (_, at): Trial => {
    const secret = waiting.secret.slice();
    secret[at] = (secret[at] as number) ^ 1;
    return [`byte ${at} of the secret`, () => enrolment.admit({ id: waiting.id, secret }, publicJwk)];
  });
  const others: readonly Trial[] = [
    ['an id of nobody', () => enrolment.admit({ ...waiting, id: 'x'.repeat(waiting.id.length) }, publicJwk)],
    ['used', () => enrolment.admit(used, publicJwk)],
    ['expired', () => enrolment.admit(expired, publicJwk)],
  ];
  const timings = await measure([...flips, ...others]);
  const bySecret = summarise(timings.slice(0, flips.length));
  printFigures('refusals of a join token, by the byte of its secret that is wrong', bySecret);
  for (const each of timings.slice(flips.length)) printFigures('refusals of a join token', { ...each });
  ok(bySecret.slowestUs <= ALIKE * bySecret.fastestUs, JSON.stringify(bySecret));
  await enrolment.admit(waiting, publicJwk);
});
