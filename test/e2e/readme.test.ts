/** README.md word by word: a clone with nothing installed, and every command block in it, in the order of the page. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, relative, sep } from 'node:path';
import process from 'node:process';
import { after, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { readWalk, type Sign } from '../support/readme.ts';
import { readText, root } from '../support/repository.ts';
import { Terminal } from '../support/terminal.ts';

/** The first one installs and builds. */
const STEP_WITHIN_MS = 120_000;
/** What a clone does not hold. */
const NOT_CLONED =
  /^(?:node_modules|dist|build|coverage|hub|\.git|\.dist-.*|\.build-.*|test[/]runtimes[/]node_modules|bench[/]results)$/;
const PORTS = [7000, 3000, 8080];

const folder = mkdtempSync(join(tmpdir(), 'skein-readme-'));
const clone = join(folder, 'clone');
const terminals: Terminal[] = [];
after(async () => {
  for (const terminal of terminals) terminal.signal('SIGKILL');
  await Promise.all(terminals.map((terminal) => terminal.ended));
  rmSync(folder, { recursive: true, force: true });
});

it('Every command of README.md works, from a clone, word by word', { skip: lacking('curl') }, async () => {
  cpSync(root, clone, {
    recursive: true,
    filter: (path) => !NOT_CLONED.test(relative(root, path).split(sep).join('/')),
  });
  const env = environment();
  const replace = await localAddresses();
  const ran: string[] = [];
  const skipped: string[] = [];
  let lastOutput = () => '';

  for (const step of readWalk(readText('README.md'))) {
    const begun = performance.now();
    const note = (text: string): void => {
      ran.push(`line ${step.line}, ${Math.round(performance.now() - begun)} ms: ${text}`);
    };
    if (step.kind === 'file') {
      writeFileSync(join(clone, step.name), `${replace(step.text)}\n`);
      note(`wrote ${step.name}`);
    } else if (step.kind === 'run') {
      const terminal = open(replace(step.text), env);
      assert.equal(await terminal.waitForEnd(STEP_WITHIN_MS), 0, `$ ${terminal.text}\n${terminal.output}`);
      for (const part of step.expect) assert.ok(terminal.output.includes(part), `no "${part}" in\n${terminal.output}`);
      note(terminal.text);
    } else if (step.kind === 'start') {
      if (!step.needs.every((command) => has(env.PATH ?? '', command))) {
        skipped.push(step.text);
        continue;
      }
      const terminal = open(replace(step.text), env);
      await becomeReady(terminal, step.until, replace);
      if (step.text === 'npm start') assertFewPackages();
      lastOutput = () => terminal.output;
      note(`${terminal.text} &`);
    } else if (step.kind === 'shown') {
      for (const line of step.text.split('\n').filter((text) => text !== '')) {
        assert.match(lastOutput(), new RegExp(toPattern(line)), 'the page shows something else');
      }
    } else {
      await stop(step.but);
    }
  }
  await stop(undefined);
  printFigures('readme', { ran, skipped });
  assert.ok(ran.length > 15);
});

/** Bun, Deno and the newer Node are for tests only, and as large as everything else twenty times over. */
function assertFewPackages(): void {
  assert.ok(existsSync(join(clone, 'node_modules')), 'it has installed what it needs');
  assert.equal(existsSync(join(clone, 'test/runtimes/node_modules')), false, 'npm start installed the test runtimes');
}

function open(text: string, env: Record<string, string | undefined>): Terminal {
  const terminal = new Terminal(text, { cwd: clone, env });
  terminals.push(terminal);
  return terminal;
}

async function becomeReady(terminal: Terminal, until: Sign, replace: (text: string) => string): Promise<void> {
  if ('output' in until) {
    await terminal.waitForOutput(until.output, STEP_WITHIN_MS);
    return;
  }
  const deadline = performance.now() + STEP_WITHIN_MS;
  while (!(await isOpen(Number(replace(String(until.port)))))) {
    assert.ok(performance.now() < deadline, `nobody listens\n$ ${terminal.text}\n${terminal.output}`);
  }
}

/** Ctrl-C in each terminal, the newest first; a program of ours ends with 0, another by the signal. */
async function stop(but: string | undefined): Promise<void> {
  const going: Terminal[] = [];
  for (const terminal of terminals.splice(0).reverse()) {
    if (terminal.text === but) {
      going.push(terminal);
      continue;
    }
    terminal.signal('SIGINT');
    const end = await terminal.waitForEnd(STEP_WITHIN_MS);
    assert.ok([0, 130, 'SIGINT'].includes(end), `ended with ${end}\n$ ${terminal.text}\n${terminal.output}`);
  }
  terminals.push(...going);
}

/** The page's ports and names, as ports of this machine that are free now. */
async function localAddresses(): Promise<(text: string) => string> {
  const servers = PORTS.map(() => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const free = new Map(PORTS.map((port, i) => [port, portOf(servers[i]?.address())]));
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return (text) =>
    text
      .replaceAll('wss://hub.example.com', 'ws://127.0.0.1:7000')
      .replace(/^npx skein hub$/m, 'npx skein hub --listen 127.0.0.1:7000')
      .replace(/\b(?:7000|3000|8080)\b/g, (port) => String(free.get(Number(port))));
}

function portOf(address: unknown): number {
  return typeof address === 'object' && address !== null && 'port' in address ? Number(address.port) : 0;
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return connected;
}

/** The user's own environment, without what belongs to skein or to the npm that runs this test; Bun and Deno if installed. */
function environment(): Record<string, string | undefined> {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:SKEIN_|npm_lifecycle|npm_package|NODE_|INIT_CWD)/i.test(name),
  );
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const packages = join(root, 'test/runtimes/node_modules');
  const runtimes = { bun: '@oven/bun-linux-x64/bin/bun', deno: '@deno/linux-x64-glibc/deno' };
  for (const [name, path] of Object.entries(runtimes)) {
    if (existsSync(join(packages, path))) symlinkSync(join(packages, path), join(bin, name));
  }
  const PATH = [process.env.PATH, bin].join(delimiter);
  return { ...Object.fromEntries(own), NO_COLOR: '1', SKEIN_HOME: join(folder, 'home'), PATH };
}

function has(path: string, command: string): boolean {
  return path.split(delimiter).some((place) => existsSync(join(place, command)));
}

/** Numbers differ from run to run. */
function toPattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\d+/g, '\\d+');
}
