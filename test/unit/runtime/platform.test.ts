import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';

describe('hostPlatform', () => {
  const platform = hostPlatform();

  it('names its runtime', () => {
    const runtime = process.versions.bun ? 'bun' : process.versions.deno ? 'deno' : 'node';
    assert.match(platform.name, new RegExp(`^${runtime} \\d+\\.\\d+\\.\\d+`));
  });

  it('lends all that a server needs', () => {
    for (const port of ['files', 'listenHttp', 'listenTcp', 'connectTcp'] as const) {
      assert.notEqual(platform[port], undefined, port);
    }
  });

  it('gives random bytes of the length asked for', () => {
    const bytes = platform.random.bytes(32);
    assert.equal(bytes.length, 32);
    assert.equal(bytes.constructor, Uint8Array);
    assert.notDeepEqual(bytes, platform.random.bytes(32));
    const ratio = platform.random.ratio();
    assert.ok(ratio >= 0 && ratio < 1);
  });

  it('decodes latin-1 as the neutral decoder does, in views too', () => {
    const bytes = new Uint8Array(300).map((_, i) => i & 255).subarray(3);
    for (const [start, end] of [
      [0, 0],
      [0, 297],
      [10, 20],
      [250, 260],
    ] as const) {
      assert.equal(platform.decodeLatin1(bytes, start, end), decodeLatin1(bytes, start, end));
    }
  });
});
