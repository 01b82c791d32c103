/** Owner trees: each owner is shown what is about itself, and that it is all, by few hashes; nothing else proves as much. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type AuditLink, OwnerTree, rootOfProof, STEP_CHARS } from '../../../src/auth/owner-tree.ts';
import { encodeUtf8, toBase64Url } from '../../../src/core/bytes.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { printFigures } from '../../support/figures.ts';

const { sha256 } = nodeCrypto;
const hash = (text: string): string => toBase64Url(sha256(encodeUtf8(text)));
const owner = (name: number | string): string => `${hash(`owner ${name}`).slice(0, 21)}A`;

/** Owner N has N % 4 entries, among those of others. */
function createLinks(owners: number): readonly AuditLink[] {
  const links: AuditLink[] = [];
  for (let entry = 0; entry < 4; entry++) {
    for (let i = 0; i < owners; i++) if (entry < i % 4) links.push({ owner: owner(i), digest: hash(`${i} ${entry}`) });
  }
  return links;
}

const digestsOf = (links: readonly AuditLink[], of: string): string[] =>
  links.filter((link) => link.owner === of).map(({ digest }) => digest);

for (const owners of [2, 3, 4, 7, 64, 1_000]) {
  test(`Each of ${owners} owners is shown all that is about it, or that there is nothing, and by nothing else`, () => {
    const links = createLinks(owners);
    const tree = new OwnerTree(sha256, links);
    const step = Math.ceil(owners / 100);
    for (let i = 0; i < owners + 50; i += step) {
      const [own, proof] = [digestsOf(links, owner(i)), tree.prove(owner(i))];
      equal(tree.has(owner(i)), own.length > 0);
      equal(rootOfProof(sha256, owner(i), own, proof), tree.root, `${i}`);
      for (const wrong of [own.slice(1), [...own, hash('more')], own.toReversed(), own.map(hash)]) {
        if (JSON.stringify(wrong) === JSON.stringify(own)) continue;
        notEqual(rootOfProof(sha256, owner(i), wrong, proof), tree.root, `${i}`);
        notEqual(rootOfProof(sha256, owner(i), wrong, { path: proof.path }), tree.root, `${i}`);
      }
      // Who is in it is shown no other one that would stand in its place.
      if (own.length === 0) continue;
      for (let j = 0; j < Math.min(owners, 20); j++) {
        const { path, leaf = owner(j) + digestsOf(links, owner(j)).join('').padEnd(43, 'A').slice(0, 43) } = tree.prove(
          owner(j === i ? owners + j : j),
        );
        notEqual(rootOfProof(sha256, owner(i), [], { path, leaf }), tree.root);
      }
    }
  });
}

test('A tree has one form, whatever the order of its owners', () => {
  const links = createLinks(100);
  const random = new SeededRandom();
  const { root } = new OwnerTree(sha256, links);
  for (let i = 0; i < 10; i++) {
    const order = new Map(links.map((link) => [link.owner, random.ratio()]));
    const shuffled = links.toSorted((a, b) => (order.get(a.owner) as number) - (order.get(b.owner) as number));
    equal(new OwnerTree(sha256, shuffled).root, root);
  }
});

test('A proof that is altered anywhere shows nothing', () => {
  const links = createLinks(300);
  const tree = new OwnerTree(sha256, links);
  for (const who of [owner(1), owner(2), owner(4), owner('nobody')]) {
    const own = digestsOf(links, who);
    const proof = tree.prove(who);
    for (const part of ['path', 'leaf'] as const) {
      const text = proof[part] ?? '';
      for (let at = 0; at < text.length; at++) {
        const altered = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
        notEqual(rootOfProof(sha256, who, own, { ...proof, [part]: altered }), tree.root, `${part} ${at}`);
      }
    }
    const { path } = proof;
    for (const other of [path.slice(STEP_CHARS), path.slice(0, -STEP_CHARS), path + path.slice(-STEP_CHARS)]) {
      notEqual(rootOfProof(sha256, who, own, { ...proof, path: other }), tree.root);
    }
  }
});

test('A proof grows with the logarithm of a stretch', () => {
  const chars: number[] = [];
  for (const owners of [1, 10, 100, 1_000, 10_000]) {
    const links = Array.from({ length: owners }, (_, i) => ({ owner: owner(i), digest: hash(`${i}`) }));
    const tree = new OwnerTree(sha256, links);
    chars.push(Math.max(...links.slice(0, 200).map((link) => tree.prove(link.owner).path.length)));
  }
  printFigures('owner tree', { chars });
  deepEqual(chars[0], 0);
  ok((chars.at(-1) as number) <= 25 * STEP_CHARS, `${chars}`);
});
