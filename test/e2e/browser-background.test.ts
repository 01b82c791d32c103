/** Pages that stand still, as those in the background do when the browser freezes them, or the machine sleeps. */
import { equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { launchChromium } from '../support/chromium.ts';
import { EventLog } from '../support/event-log.ts';
import { deferred, LocalMesh } from '../support/local-mesh.ts';
import { startTestSite } from '../support/test-site.ts';
import { bundleForWeb } from '../support/web-bundle.ts';

describe('A page in Chromium that stands still', { skip: lacking('Chromium') }, () => {
  it('Is missed by the hub after a while, and goes on with its stream when it wakes', async (t) => {
    const { text } = await bundleForWeb('test/support/pages/member.ts');
    const site = await startTestSite(t, text);
    const log = new EventLog();
    const mesh = await LocalMesh.start(t, { log, pageOrigins: [new URL(site).origin] });
    const { mesh: api } = await mesh.join(['api']);
    const [rest, end] = [deferred(), deferred()];
    await api.serve('api', () => {
      const body = new ReadableStream<Uint8Array>({
        async start(controller) {
          controller.enqueue(new TextEncoder().encode('before'));
          await rest.promise;
          controller.enqueue(new TextEncoder().encode(', meanwhile'));
          await end.promise;
          controller.enqueue(new TextEncoder().encode(' and after'));
          controller.close();
        },
      });
      return new Response(body);
    });
    const browser = await launchChromium();
    t.after(() => browser.close());
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(site);
    const options = { hub: mesh.hub.url, token: await mesh.token(['screen']) };
    await page.evaluate(`(async () => {
      dials = 0;
      mesh = await skein.createMesh(${JSON.stringify(options)});
      mesh.on('connected', () => dials++);
      reader = (await mesh.fetch('http://api.mesh/')).body.pipeThrough(new TextDecoderStream()).getReader();
      seen = (await reader.read()).value;
      whole = (async () => {
        for (let each = await reader.read(); !each.done; each = await reader.read()) seen += each.value;
        return seen;
      })();
    })()`);
    const devtools = await context.newCDPSession(page);
    await devtools.send('Debugger.enable');
    await devtools.send('Debugger.pause');
    // What is said to it now nobody answers.
    rest.resolve();
    await log.waitFor('sidecar-left');
    end.resolve();
    await devtools.send('Debugger.resume');
    await devtools.send('Debugger.disable');
    equal(await page.evaluate('whole'), 'before, meanwhile and after');
    equal(await page.evaluate('dials'), 1, 'it has another link');
  });
});
