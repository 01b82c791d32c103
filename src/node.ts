/** The package on Node, Bun and Deno: the neutral API bound to the one platform that the three share. */

export { type ErrorCode, SkeinError } from './core/errors.ts';
export { nodePlatform } from './runtime/node/platform.ts';
/** @internal For the command line, which may not name a runtime. */
export { nodeProcess } from './runtime/node/process.ts';
