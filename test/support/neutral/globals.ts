/** Globals of Node that suites, and a package in them, take for granted. */
import processHere from './process.ts';

const { port1, port2 } = new MessageChannel();
const immediates: (() => void)[] = [];
port1.onmessage = () => immediates.shift()?.();

export const setImmediate = (run: () => void): void => {
  immediates.push(run);
  port2.postMessage(undefined);
};

export const process = processHere;
