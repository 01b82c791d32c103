/** What a hub leaves with a WebSocket: it comes back as it was, and has room for what a link may have. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Grant } from '../../../src/auth/grant.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import {
  countRestingCircuits,
  decodeRestingLink,
  encodeRestingLink,
  type RestingLink,
  type RestingMember,
} from '../../../src/hub/resting-link.ts';
import { MAX_OFFSET } from '../../../src/tunnel/flow-control.ts';

/** What the host of an object has room for. */
const MAX_BYTES = 16 * 1024 - 256;
const HELLO = new Uint8Array(26).fill(7);

function member(services: number): RestingMember {
  const grant: Grant = {
    kind: 'member',
    services: Array.from({ length: services }, (_, i) => `service-${i}.namespace`),
    publicJwk: { kty: 'EC', crv: 'P-256', x: 'x'.repeat(43), y: 'y'.repeat(43), alg: 'ES256' } as Grant['publicJwk'],
    thumbprint: 't'.repeat(43),
    joinedAtMs: 1_795_739_242_371,
    expiresAtMs: 1_795_839_242_371,
    hubRoles: undefined,
    keyId: 'k'.repeat(43),
  };
  const id = parseSpiffeId('spiffe://skein.mesh/ns/default/sa/api');
  return { instance: 'a'.repeat(64), id, grant, observedIp: '203.0.113.9' };
}

/** A link that is as far as a link can come. */
function link(of: RestingMember, circuits: number): RestingLink {
  const far = 0xffff_ffff;
  const ids = Array.from({ length: circuits + 1 }, (_, i) => (i === 0 ? 0 : far - i));
  const offsets = { sent: MAX_OFFSET, sendLimit: MAX_OFFSET, received: MAX_OFFSET, granted: MAX_OFFSET };
  return {
    number: 31_999,
    member: of,
    link: {
      hellos: [HELLO, HELLO],
      nextId: far + 1,
      lastAdoptedId: far,
      circuits: ids.map((id) => ({ id, ...offsets, windowBytes: 2 * 1024 * 1024 })),
    },
    legs: ids.slice(1).map((circuit, i) => ({ circuit, toLink: 31_000 + i, toCircuit: far, isCaller: i % 2 === 0 })),
  };
}

describe('Resting link', () => {
  it('comes back as it was', () => {
    const before = link(member(2), 3);
    const after = decodeRestingLink(encodeRestingLink(before));
    deepEqual(after, { ...before, member: { ...before.member, grant: withoutUndefined(before.member.grant) } });
  });

  it('has room for as many circuits as it says, however far they have come, and not for a tenth more', () => {
    for (const services of [1, 64, 256]) {
      const of = member(services);
      const circuits = countRestingCircuits(MAX_BYTES, of, [HELLO, HELLO]);
      ok(circuits >= 100, `${circuits} circuits beside ${services} services`);
      ok(encodeRestingLink(link(of, circuits)).length <= MAX_BYTES);
      ok(encodeRestingLink(link(of, Math.ceil(circuits * 1.1))).length > MAX_BYTES);
    }
  });

  it('is not read when it is cut, longer, or of another version', () => {
    const bytes = encodeRestingLink(link(member(1), 2));
    for (const length of [0, 1, 5, bytes.length - 1]) equal(decodeRestingLink(bytes.slice(0, length)), undefined);
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    equal(decodeRestingLink(longer), undefined);
    const other = bytes.slice();
    other[0] = 2;
    equal(decodeRestingLink(other), undefined);
  });
});

function withoutUndefined({ hubRoles: _, ...grant }: Grant): Omit<Grant, 'hubRoles'> {
  return grant;
}
