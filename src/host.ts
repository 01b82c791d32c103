/** What the command line runs on, which may not name a runtime: the platform and the process of Node, Bun and Deno, and nothing else of the package. */

export { hostPlatform } from './runtime/bun/platform.ts';
export { nodeProcess } from './runtime/node/process.ts';
export { freeLargeBuffersEarly } from './runtime/node-compat/fresh-buffers.ts';
