/** How each kind of party comes into being: processes, objects of one Worker, pages of one browser. */
import type { TestContext } from 'node:test';
import { type Browser, launchChromium } from '../chromium.ts';
import { type Runtime, startHelper } from '../process.ts';
import { startTestSite } from '../test-site.ts';
import { bundleForWeb } from '../web-bundle.ts';
import { Workerd } from '../workerd.ts';
import type { PartyName } from './names.ts';
import type { Findings } from './party.ts';

/** A party that has joined. */
export interface Party {
  call(callee: string): Promise<Findings>;
}

/** Makes parties of one kind in a mesh: `name` is the service, and the service account, of one. */
export interface PartyKind {
  join(name: string): Promise<Party>;
}

/** A hub, as parties need it. */
export interface HubAccess {
  readonly url: string;
  /** A join token for a service. */
  token(service: string): Promise<string>;
}

type Cleanups = Pick<TestContext, 'after'>;

/** Kind → how the first one is made ready; all ends with `t`. */
export const KINDS: Readonly<Record<PartyName, (hub: HubAccess, t: Cleanups) => Promise<PartyKind>>> = {
  Node: (hub, t) => startProcesses('node', hub, t),
  Bun: (hub, t) => startProcesses('bun', hub, t),
  Deno: (hub, t) => startProcesses('deno', hub, t),
  workerd: startObjects,
  Chromium: startPages,
};

async function startProcesses(runtime: Runtime, hub: HubAccess, t: Cleanups): Promise<PartyKind> {
  return {
    async join(name) {
      const env = { TOKEN: await hub.token(name) };
      const program = startHelper('interop-party', [hub.url, name], { name, runtime, env, stdin: true });
      t.after(() => program.kill());
      await program.ready();
      return { call: async (callee) => refuseErrors(await program.command({ call: callee })) };
    },
  };
}

async function startObjects(hub: HubAccess, t: Cleanups): Promise<PartyKind> {
  const worker = await Workerd.start({ entry: 'test/support/workers/interop.ts', objects: { PARTIES: 'Party' } });
  t.after(() => worker.close());
  const ask = async (name: string, query: Record<string, string>, method: string): Promise<Findings> => {
    const answer = await fetch(`${worker.url}/${name}?${new URLSearchParams(query)}`, { method });
    return refuseErrors((await answer.json()) as Findings);
  };
  return {
    async join(name) {
      await ask(name, { hub: hub.url, token: await hub.token(name) }, 'POST');
      return { call: (callee) => ask(name, { call: callee }, 'GET') };
    },
  };
}

async function startPages(hub: HubAccess, t: Cleanups): Promise<PartyKind> {
  const browser: Browser = await launchChromium();
  t.after(() => browser.close());
  const site = await startTestSite(t, (await bundleForWeb('test/support/pages/interop.ts')).text);
  return {
    async join(name) {
      const page = await browser.newPage();
      await page.goto(site);
      const settings = [hub.url, name, await hub.token(name)];
      await page.evaluate(`join(${settings.map((each) => JSON.stringify(each)).join(', ')})`);
      return { call: (callee) => page.evaluate<Findings>(`call(${JSON.stringify(callee)})`) };
    },
  };
}

/** Parties in other processes tell of failures as data. */
function refuseErrors(answer: Findings | { readonly error: string }): Findings {
  if ('error' in answer) throw new Error(answer.error);
  return answer;
}
