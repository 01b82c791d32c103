/** docs/routes.md from its beginning to its end: its files are written, its commands run, and they print what it says. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CONDITION_REASONS } from '../../../src/catalog/condition.ts';
import { createMesh } from '../../../src/node.ts';
import { type Administrator, createAdministrator } from '../../support/administrator.ts';
import { readText } from '../../support/repository.ts';

const DOCUMENT = 'docs/routes.md';

type Step =
  | { readonly file: string; readonly text: string }
  | { readonly commands: readonly string[]; readonly prints: string };

/** Blocks of YAML are files, blocks of commands may be followed by what they print. */
function readSteps(): Step[] {
  const pattern = /<!-- file (\S+) -->\n```yaml\n(.*?)^```$|^```sh\n(.*?)^```\n(?:```text\n(.*?)^```$)?/gms;
  return [...readText(DOCUMENT).matchAll(pattern)].map(([, file, text = '', commands = '', prints = '']) =>
    file === undefined ? { commands: commands.trim().split('\n'), prints } : { file, text },
  );
}

/** A mesh as the document supposes it. */
async function serveAll(t: TestContext, { hub }: Administrator): Promise<void> {
  const join = async (namespace: string, ...services: string[]) => {
    const { text } = await hub.createJoinToken({ services, namespace });
    const member = await createMesh({ hub: hub.url, token: text, direct: false });
    t.after(() => member.close());
    return member;
  };
  const requests = ['api', 'api-v1', 'api-v2', 'greeter'];
  const own = await join('default', ...requests, 'db');
  for (const name of requests) await own.serve(name, () => new Response(name));
  await own.listen('db', (socket) => socket.abort(), { port: 5432 });
  const bank = await join('bank', 'pay');
  await bank.serve('pay', () => new Response('pay'));
}

/** Without times, which no document knows. */
function steady(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');
}

test(`${DOCUMENT}: what it shows is what the program does`, async (t) => {
  const administrator = await createAdministrator(t);
  await serveAll(t, administrator);
  const steps = readSteps();
  ok(steps.length > 10);
  for (const step of steps) {
    if ('file' in step) {
      await administrator.write(step.file, step.text);
      continue;
    }
    let printed = '';
    for (const command of step.commands) {
      const { code, out, err } = await administrator.run(...command.replace(/^skein /, '').split(' '));
      equal(code, command.startsWith('skein diff') ? 1 : 0, `${command}\n${err}`);
      printed += out;
    }
    deepEqual(steady(printed).split('\n'), steady(step.prints).split('\n'), step.commands.join('\n'));
  }
});

test(`${DOCUMENT} has every reason of a condition, and no other`, () => {
  const listed = [...readText(DOCUMENT).matchAll(/^\| (?:`\w+`)? ?\| `(\w+)` \|/gm)].map(([, reason = '']) => reason);
  deepEqual([...new Set(listed)].sort(), [...CONDITION_REASONS].sort());
});
