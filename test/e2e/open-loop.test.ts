/** The load of a bench must not leave out those who would have waited (coordinated omission). */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { runOpenLoop } from '../../bench/kit/open-loop.ts';
import { printFigures } from '../support/figures.ts';

const PER_SECOND = 100;
/** The one answer that is late, and how late. */
const LATE = 20;
const LATE_MS = 500;

describe('The open loop', () => {
  it('Counts the wait of all who were due while one answer was late', async (t) => {
    let asked = 0;
    const server = createServer((_, response) => {
      // The application does nothing else meanwhile, as one that collects garbage or computes.
      const until = performance.now() + (++asked === LATE ? LATE_MS : 0);
      while (performance.now() < until);
      response.writeHead(200, { 'content-length': 2 }).end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const result = await runOpenLoop({ address, perSecond: PER_SECOND, seconds: 1, connections: 1 });
    printFigures('open loop', { ...result });
    assert.equal(result.requests, PER_SECOND);
    // Half of a second of requests waited: 50 of 100, the last ones a little less. A closed loop would have shown one.
    assert.ok(result.p90Ms > LATE_MS / 2, `p90 ${result.p90Ms} ms`);
    assert.ok(result.maxMs >= LATE_MS, `at most ${result.maxMs} ms`);
  });
});
