/** What suites ask of `node:fs` and `node:path`, where there are no files. */

export const delimiter = ':';
export const join = (...parts: readonly string[]): string => parts.join('/');
export const existsSync = (): boolean => false;
export const readFileSync = (): never => {
  throw new Error('There are no files here');
};
