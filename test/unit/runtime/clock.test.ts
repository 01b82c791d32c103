import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { createNodeClock } from '../../../src/runtime/node-compat/clock.ts';

describe('The clock of Node', () => {
  it('runs end-of-tick work in order and after the promises of this task', async () => {
    const clock = createNodeClock();
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      clock.endOfTick(() => order.push('first'));
      void Promise.resolve().then(() => order.push('promise'));
      clock.endOfTick(() => order.push('second'));
      clock.endOfTick(resolve);
      order.push('now');
    });
    assert.deepEqual(order, ['now', 'promise', 'first', 'second']);
  });

  it('leaves work added by end-of-tick work to the next turn', async () => {
    const clock = createNodeClock();
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      clock.endOfTick(() => {
        clock.endOfTick(() => {
          order.push('later');
          resolve();
        });
        order.push('first');
      });
      clock.endOfTick(() => order.push('second'));
    });
    assert.deepEqual(order, ['first', 'second', 'later']);
  });

  it('fires timers in order of time, never early, and not when cancelled', async () => {
    const clock = createNodeClock();
    const order: string[] = [];
    const startMs = clock.monotonicMs();
    const release = await holdOpen();
    await new Promise<void>((resolve) => {
      clock.setTimer(30.5, () => {
        order.push('late');
        resolve();
      });
      clock.setTimer(10, () => order.push('early'));
      clock.setTimer(5, () => order.push('cancelled')).cancel();
      clock.setTimer(-1, () => order.push('past'));
    });
    release();
    assert.ok(clock.monotonicMs() - startMs >= 30.5);
    assert.deepEqual(order, ['past', 'early', 'late']);
  });

  it('keeps delays beyond 24 days', async () => {
    const clock = createNodeClock();
    let fired = false;
    const timer = clock.setTimer(2 ** 40, () => {
      fired = true;
    });
    const release = await holdOpen();
    await new Promise<void>((resolve) => clock.setTimer(20, resolve));
    release();
    timer.cancel();
    assert.equal(fired, false);
  });

  it('does not hold the process open', () => {
    const module = new URL('../../../src/runtime/node-compat/clock.ts', import.meta.url).href;
    // Compiled tests run the compiled module.
    const target = import.meta.url.endsWith('.ts') ? module : module.replace(/\.ts$/, '.js');
    const script = `import { createNodeClock } from ${JSON.stringify(target)}; createNodeClock().setTimer(60000, () => {});`;
    const deno = process.versions.deno !== undefined;
    const args = deno ? ['eval', '--no-check', script] : ['--input-type=module', '-e', script];
    const { status, signal } = spawnSync(process.execPath, args, { timeout: 20_000 });
    assert.equal(signal, null);
    assert.equal(status, 0);
  });
});

/** A listening socket keeps the process up, as the clock's timers do not. */
async function holdOpen(): Promise<() => void> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return () => server.close();
}
