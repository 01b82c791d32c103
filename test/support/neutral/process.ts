/** What suites ask of `node:process`, where there is no process. */

const told = (text: string): boolean => {
  console.log(text.trimEnd());
  return true;
};

const stdout = { write: told };
const env: Record<string, string | undefined> = {};
/** `skein` names what stands in Node's place, as Bun and Deno do themselves. */
const versions: Record<string, string | undefined> = {
  chromium: /Chrome\/([\d.]+)/.exec(navigator.userAgent)?.[1],
};
const platform = 'browser';
const arch = 'none';
/** No release of Node. */
const version = 'v0.0.0';
/** In a page the work of one thread is all there is. */
const cpuUsage = () => ({ user: performance.now() * 1000, system: 0 });

// biome-ignore lint/style/noDefaultExport: the module that it stands for has one
export default {
  stdout,
  env,
  versions,
  platform,
  arch,
  version,
  cpuUsage,
  uptime: (): number => performance.now() / 1000,
};
