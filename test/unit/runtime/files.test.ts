import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { nodeFiles } from '../../../src/runtime/node/files.ts';

const root = mkdtempSync(join(tmpdir(), 'skein-files-'));
let folder = '';
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
});
after(() => rmSync(root, { recursive: true }));

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

describe('Files', () => {
  it('reads nothing where nothing is', async () => {
    assert.equal(await nodeFiles.read(join(folder, 'absent')), undefined);
  });

  it('replaces whole, with mode 600 in a folder of 700, leaving nothing behind', async () => {
    const path = join(folder, 'deep', 'key.json');
    await nodeFiles.replace(path, encodeUtf8('one'));
    await nodeFiles.replace(path, encodeUtf8('two'));
    assert.deepEqual(await nodeFiles.read(path), encodeUtf8('two'));
    assert.equal(mode(path), '600');
    assert.equal(mode(join(folder, 'deep')), '700');
    assert.deepEqual(readdirSync(join(folder, 'deep')), ['key.json']);
  });

  for (const [name, place] of [
    ['under a link to a disk that is not there', () => symlinkSync(join(root, 'unmounted'), folder)],
    ['where the system takes none', () => (folder = '/proc/skein')],
    ['below a file', () => writeFileSync(folder, '')],
  ] as const) {
    it(`makes no folder ${name}, and says so instead of trying for ever`, async () => {
      place();
      await assert.rejects(nodeFiles.makeFolder(join(folder, 'deep', 'er')), { code: 'SKEIN_STORE' });
    });
  }

  it('gives the mode asked for, whatever the umask', async () => {
    const path = join(folder, 'public');
    const umask = process.umask(0o077);
    try {
      await nodeFiles.replace(path, encodeUtf8('x'), 0o644);
    } finally {
      process.umask(umask);
    }
    assert.equal(mode(path), '644');
  });

  it('never shows a reader half a file', async () => {
    const path = join(folder, 'state');
    const versions = ['a', 'b'].map((letter) => encodeUtf8(letter.repeat(300_000)));
    await nodeFiles.replace(path, versions[0] as Uint8Array);
    let writing = true;
    const writes = (async () => {
      for (let i = 0; i < 20; i++) await nodeFiles.replace(path, versions[i % 2] as Uint8Array);
      writing = false;
    })();
    let reads = 0;
    while (writing) {
      const text = new TextDecoder().decode(await nodeFiles.read(path));
      assert.equal(text.length, 300_000);
      assert.ok(/^(a+|b+)$/.test(text));
      reads++;
    }
    await writes;
    assert.ok(reads > 0);
  });

  it('keeps the old content when the new cannot be written', async () => {
    const path = join(folder, 'target');
    await nodeFiles.makeFolder(path);
    await assert.rejects(nodeFiles.replace(path, encodeUtf8('x')), (error: unknown) => {
      assert.ok(error instanceof SkeinError);
      assert.equal(error.code, 'SKEIN_STORE');
      return true;
    });
    assert.deepEqual(readdirSync(folder), ['target']);
  });

  it('appends in order, many calls at once', async () => {
    const path = join(folder, 'log');
    const file = await nodeFiles.openAppend(path);
    await Promise.all(Array.from({ length: 50 }, (_, i) => file.append(encodeUtf8(`${i}\n`))));
    const expected = Array.from({ length: 50 }, (_, i) => `${i}\n`).join('');
    assert.equal(file.sizeBytes, expected.length);
    await file.close();
    assert.equal(readFileSync(path, 'utf8'), expected);
    assert.equal(mode(path), '600');
    assert.equal(mode(folder), '700');
  });

  it('goes on at the end of an existing file', async () => {
    const path = join(folder, 'log');
    await nodeFiles.makeFolder(folder);
    writeFileSync(path, 'first ');
    const file = await nodeFiles.openAppend(path);
    assert.equal(file.sizeBytes, 6);
    await file.append(encodeUtf8('second'));
    await file.close();
    assert.equal(readFileSync(path, 'utf8'), 'first second');
  });

  it('cuts a torn tail and writes over it', async () => {
    const path = join(folder, 'log');
    const file = await nodeFiles.openAppend(path);
    await file.append(encodeUtf8('good,torn'));
    await file.truncate(5);
    assert.equal(file.sizeBytes, 5);
    await file.append(encodeUtf8('next'));
    await file.close();
    assert.equal(readFileSync(path, 'utf8'), 'good,next');
  });

  it('rejects what comes after close', async () => {
    const file = await nodeFiles.openAppend(join(folder, 'log'));
    await file.close();
    await assert.rejects(file.append(encodeUtf8('x')), { code: 'SKEIN_STORE' });
  });

  it('removes, also what is not there', async () => {
    const path = join(folder, 'gone');
    await nodeFiles.replace(path, encodeUtf8('x'));
    await nodeFiles.remove(path);
    await nodeFiles.remove(path);
    await nodeFiles.remove(join(folder, 'no', 'such', 'folder'));
    assert.equal(existsSync(path), false);
  });

  it('says what is wrong with a path', async () => {
    const path = join(folder, 'file');
    await nodeFiles.replace(path, encodeUtf8('x'));
    await assert.rejects(nodeFiles.replace(join(path, 'below'), encodeUtf8('x')), (error: unknown) => {
      assert.ok(error instanceof SkeinError);
      assert.equal(error.code, 'SKEIN_STORE');
      assert.match(error.message, /^Cannot write '/);
      return true;
    });
    await assert.rejects(nodeFiles.read(folder), { code: 'SKEIN_STORE' });
  });
});
