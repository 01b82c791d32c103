/** What the command line runs on, which may not name a runtime: the platform and the process of Node, Bun and Deno, and nothing else of the package. */

export { nodePlatform } from './runtime/node/platform.ts';
export { nodeProcess } from './runtime/node/process.ts';
