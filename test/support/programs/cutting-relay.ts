/**
 * `cutting-relay.js TARGET [SHAPE as JSON]`: a relay (cutting-relay.ts) in a process of its own, so that its work is no
 * work of the test. Each line on stdin is a command, `{"id":1,"cut":"rst"}`, `{"id":2,"hold":true}`, `{"id":3,"shape":{"delayMs":9}}` or `{"id":4}`;
 * each is answered by a line with its id and what was counted so far.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { type Cut, CuttingRelay, type RelayShape } from '../cutting-relay.ts';

interface Command {
  readonly id: number;
  readonly cut?: Cut;
  readonly hold?: boolean;
  readonly shape?: RelayShape;
}

const [target = '', shape = '{}'] = process.argv.slice(2);
const relay = await CuttingRelay.listen(target, JSON.parse(shape));
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ event: 'ready', role: 'relay', addresses: { hub: relay.address } });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, cut, hold, shape } = JSON.parse(line) as Command;
  if (cut !== undefined) relay.cut(cut);
  if (shape !== undefined) relay.reshape(shape);
  if (hold === true) relay.hold();
  if (hold === false) relay.release();
  say({ id, ...relay.counts });
}
process.exit(0);
