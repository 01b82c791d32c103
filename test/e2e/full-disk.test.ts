/** Disks of a mebibyte that fill up, below the data folders of a hub and a sidecar: who runs goes on, and says what is wrong. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { HonestClient } from '../support/honest-client.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import type { Program } from '../support/process.ts';

const skip = lacking('mount namespaces');

/** A command that starts a program in a mount namespace of its own, where `folder` is a disk of 1 MiB. */
function onSmallDisk(folder: string): readonly string[] {
  mkdirSync(folder, { recursive: true });
  const script = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', script, folder];
}

/** The disk of a program, as seen from outside. */
class SmallDisk {
  readonly #root: string;

  constructor(program: Program, folder: string) {
    this.#root = join(`/proc/${program.pid}/root`, folder);
  }

  read(name: string): string {
    return readFileSync(join(this.#root, name), 'utf8');
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.#root, name), text);
  }

  has(name: string): boolean {
    return existsSync(join(this.#root, name));
  }

  list(): readonly string[] {
    return readdirSync(this.#root);
  }

  fill(): void {
    let bytes = 64 * 1024;
    for (let number = 0; bytes >= 1; number++) {
      try {
        writeFileSync(join(this.#root, `filler-${number}`), Buffer.alloc(bytes));
      } catch {
        rmSync(join(this.#root, `filler-${number}`), { force: true });
        bytes >>= 1;
      }
    }
  }

  free(): void {
    for (const name of this.list()) if (name.startsWith('filler-')) rmSync(join(this.#root, name));
  }
}

describe('A full disk', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  let disk: SmallDisk;
  let plain: { http: string };

  before(async () => {
    // The folder is known only when the mesh is there; the hub gets its small disk when it is started again.
    mesh = await TestMesh.start();
    plain = await mesh.startOrigin('plain');
    a = await mesh.startSidecar({ name: 'a', services: ['client'] });
    await mesh.startSidecar({ name: 'b', services: ['plain'], expose: [`plain=${plain.http}`], http: false });
  });
  after(() => mesh?.close());

  async function api(hub: Program, address: string, token: string): Promise<{ status: number; text: string }> {
    assert.equal(hub.hasExited, false, hub.tail());
    const response = await fetch(`http://${address}/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ services: ['any'] }),
    });
    return { status: response.status, text: await response.text() };
  }

  it('below a hub: calls go on, changes are refused with the reason, and made when there is room', {
    skip,
  }, async () => {
    const folder = join(mesh.folder, 'small-hub');
    const small = await TestMesh.start({ name: 'small hub', within: onSmallDisk(folder), data: folder });
    try {
      disk = new SmallDisk(small.hub, folder);
      const token = disk.read('admin.token').trim();
      const join = async (name: string, ...args: string[]): Promise<Sidecar> => {
        const made = JSON.parse((await api(small.hub, small.hubAddress, token)).text) as { token: string };
        return small.startSidecar({ name, token: made.token, args });
      };
      const caller = await join('caller');
      await join('callee', '--expose', `any=${plain.http}`);
      disk.fill();
      const honest = new HonestClient({ through: caller.http, host: 'any.mesh' });
      // What is in the file's last block still fits; a few of them do not.
      let refused: { status: number; text: string } | undefined;
      for (let i = 0; i < 100 && refused === undefined; i++) {
        const answer = await api(small.hub, small.hubAddress, token);
        if (answer.status >= 400) refused = answer;
      }
      assert.ok(refused !== undefined, 'the disk is full');
      assert.match(refused.text, /SKEIN_STORE/);
      assert.match(refused.text, /disk full/);
      await small.hub.waitForLog(({ event }) => event === 'store-write-failed');
      disk.free();
      assert.equal((await api(small.hub, small.hubAddress, token)).status < 300, true);
      const { failures, count, errors } = await honest.stop();
      assert.equal(failures, 0, JSON.stringify(errors));
      assert.ok(count > 0);
      assert.deepEqual(small.accidents(), []);
    } finally {
      await small.close();
    }
  });

  it('below a sidecar: it says why it does not join, and spends no token', { skip }, async () => {
    const folder = join(mesh.folder, 'small-sidecar');
    const token = await mesh.createToken(['later']);
    const within = onSmallDisk(folder);
    const filled = [
      ...within.slice(0, 4),
      `${within[4]?.replace('exec', 'head -c 2000000 /dev/zero > "$0/filler"; exec')}`,
      folder,
    ];
    const program = await mesh.launchSidecar({ name: 'later', within: filled, token, data: folder, http: false });
    const { code } = await program.exited;
    assert.notEqual(code, 0);
    assert.match(program.tail(), /disk full/);
    // With room it is taken, once.
    const again = await mesh.startSidecar({ name: 'later', within, token, data: folder, http: false });
    assert.equal(new SmallDisk(again.program, folder).has('identity.json'), true);
    await again.program.stop();
  });

  it('a damaged identity is set aside, and a new token joins', async () => {
    const folder = join(mesh.folder, 'damaged');
    const first = await mesh.startSidecar({ name: 'damaged', services: ['damaged'], data: folder, http: false });
    await first.program.stop();
    writeFileSync(join(folder, 'identity.json'), readFileSync(join(folder, 'identity.json')).subarray(0, 100));
    const without = await mesh.launchSidecar({ name: 'damaged', data: folder, http: false });
    assert.equal((await without.exited).code, 1);
    assert.match(without.tail(), /identity\.json\\" is damaged/);
    assert.match(without.tail(), /skein token create/);
    const again = await mesh.startSidecar({ name: 'damaged', services: ['damaged'], data: folder, http: false });
    assert.equal(again.program.count('identity-set-aside'), 1);
    assert.deepEqual(
      readdirSync(folder)
        .filter((name) => name.startsWith('identity'))
        .sort(),
      ['identity.json', 'identity.json.damaged'],
    );
    assert.equal(a.program.hasExited, false);
  });
});
