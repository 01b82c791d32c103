/** SVIDs under 150,000 mutations of good tokens by seeded chance: those are accepted that were left as they are, and no other. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { decodeUtf8, fromBase64Url, toBase64Url } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { effort } from '../../support/effort.ts';
import { printFigures } from '../../support/figures.ts';
import { mutate } from '../../support/mutants.ts';
import { WitIssuer } from '../../support/wit-issuer.ts';

const SEEDS = { wit: [7, 8, 9, 10], jwt: [11, 12] } as const;
const MUTANTS = effort(25_000);
const CHARS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.={}" \n\u0000é'];
const JSON_PIECES = [
  ...['"', ',', '{', '}', '[', ']', ':', ' ', '\\', '0', '9', 'null', 'true', '1e9', '\\u0061', '\ufeff', '"aud":"x",'],
  ...['"alg":"none",', '"kid":"x",', '"exp":1,', '"sub":"spiffe://test.mesh/x",', '"__proto__":{},'],
];

/** How a token is changed; another of the same issuer is there to be mixed in, and chance may leave it as it was. */
const WAYS: readonly ((random: SeededRandom, token: string, other: string) => string)[] = [
  function changeCharacter(random, token) {
    const at = random.integer(token.length);
    const how = random.integer(3);
    return token.slice(0, at) + (how === 0 ? '' : random.pick(CHARS)) + token.slice(at + (how === 1 ? 0 : 1));
  },
  function changeBytesOfText(random, token) {
    return mutate(random, Buffer.from(token)).toString('latin1');
  },
  function changeBytesOfSegment(random, token) {
    return changeSegment(random, token, (bytes) => mutate(random, bytes));
  },
  function changeJson(random, token) {
    return changeSegment(random, token, (bytes, index) => {
      if (index === 2) return mutate(random, bytes);
      const text = decodeUtf8(bytes);
      const at = random.integer(text.length + 1);
      const changed = text.slice(0, at) + random.pick(JSON_PIECES) + text.slice(at + random.integer(2));
      return new TextEncoder().encode(changed);
    });
  },
  function mixSegments(random, token, other) {
    const [a, b] = [token.split('.'), other.split('.')];
    return a.map((segment, i) => (random.integer(2) === 0 ? segment : b[i])).join('.');
  },
];

function changeSegment(
  random: SeededRandom,
  token: string,
  change: (bytes: Uint8Array, index: number) => Uint8Array,
): string {
  const segments = token.split('.');
  const index = random.integer(segments.length);
  segments[index] = toBase64Url(change(fromBase64Url(segments[index] as string), index));
  return segments.join('.');
}

for (const kind of ['wit', 'jwt'] as const) {
  describe(`Verification of a ${kind.toUpperCase()}-SVID under chance`, () => {
    let issuer: WitIssuer;
    let good: readonly string[];
    const verify = (token: string): Promise<unknown> =>
      kind === 'wit' ? issuer.verifyWit(token) : issuer.verifyJwt(token);

    before(async () => {
      issuer = await WitIssuer.create();
      const forge = issuer[kind];
      good = [forge.good, await forge.withClaims({ sub: 'spiffe://test.mesh/ns/default/sa/root' })];
    });

    for (const seed of SEEDS[kind]) {
      it(`Of ${MUTANTS} mutants and some that are as they were, it accepts the latter alone; seed ${seed}`, async () => {
        const random = new SeededRandom(seed);
        const answers = new Set<string>();
        let [refused, accepted] = [0, 0];
        while (refused < MUTANTS) {
          const [token = '', other = ''] = random.integer(2) === 0 ? good : [...good].reverse();
          const mutant = random.integer(100) === 0 ? token : random.pick(WAYS)(random, token, other);
          const answer = await verify(mutant).then(
            () => 'good',
            (error: unknown) => describeRefusal(error),
          );
          const isGood = good.includes(mutant);
          const where = `seed ${seed}, ${refused + accepted} before it: ${JSON.stringify(mutant)}`;
          assert.equal(answer === 'good', isGood, `${where}: ${answer}`);
          if (isGood) accepted++;
          else refused++;
          if (!isGood) answers.add(answer);
        }
        printFigures('mutated tokens', { kind, seed, refused, accepted, answers: answers.size });
        assert.ok(accepted > 0);
        assert.equal(answers.size, 1, [...answers].join('\n'));
      });
    }
  });
}

function describeRefusal(error: unknown): string {
  assert.ok(error instanceof SkeinError, String(error));
  return `${error.code} ${error.message} ${JSON.stringify(error.details)}`;
}
