/** Waits for programs that do not say when they are ready. */
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { Program } from '../../test/support/process.ts';

const PATIENCE_MS = 15_000;
const EVERY_MS = 20;

/** @param port of 127.0.0.1 @throws Error when the program ends, or listens on it too late */
export async function waitUntilListening(port: number, program: Program): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isListening(port))) {
    if (program.hasExited || performance.now() > deadline) {
      throw new Error(`${program.name} does not listen on ${port}\n${program.tail()}`);
    }
    await wait(EVERY_MS);
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}
