/** What the documents show is what the program takes: every command line, every YAML block, every link of them. */
import { deepEqual, ok } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parseManifest } from '../../../src/catalog/parse.ts';
import { parseCommandLine } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { parseSidecarFile } from '../../../src/cli/config.ts';
import { parseManifests } from '../../../src/cli/manifest.ts';
import { readText, readTree, root } from '../../support/repository.ts';

const DOCUMENTS = ['README.md', 'README.zh.md', 'docs/operations.md', 'docs/routes.md', 'docs/security.md'];
const LINKING = [
  ...DOCUMENTS,
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'docs/protocol.md',
  'docs/testing.md',
];

interface Block {
  readonly language: string;
  readonly text: string;
}

function blocksOf(document: string): Block[] {
  return [...readText(document).matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', text = '']) => ({
    language,
    text,
  }));
}

/** The words of each line with `skein …` or `npx skein …`, continuations joined, comments and pipes cut off. */
function commandLinesOf(text: string): string[][] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(?:^|\s)#.*$/, '').replace(/\s[|>&].*$/, ''))
    .map((line) => /(?:^|\s|\$\()(?:npx )?skein (.*?)(?:\).*)?$/.exec(line)?.[1]?.trim().split(/\s+/) ?? [])
    .filter(({ length }) => length > 0);
}

/** Headings outside of code, as their `#` and their text. */
function headingsOf(document: string): RegExpMatchArray[] {
  return [
    ...readText(document)
      .replaceAll(/^```.*?^```$/gms, '')
      .matchAll(/^(#+) (.*)$/gm),
  ];
}

/** What GitHub makes of a heading for links. */
function toAnchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

for (const document of DOCUMENTS) {
  const blocks = blocksOf(document);

  for (const words of blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => commandLinesOf(text))) {
    test(`${document}: "skein ${words.join(' ')}" is a command line`, () => {
      const said: string[] = [];
      const say = (text: string): void => void said.push(text);
      const result = parseCommandLine(COMMANDS, words, {}, { columns: 100, version: '', out: say, err: say });
      ok('spec' in result, said.join(''));
    });
  }

  for (const { text } of blocks.filter(({ language }) => language === 'yaml')) {
    test(`${document}: the YAML that begins with "${text.split('\n')[0]}" is accepted`, () => {
      if (!text.includes('kind:')) {
        parseSidecarFile(document, text, { SKEIN_TOKEN: 'x' });
        return;
      }
      for (const { manifest } of parseManifests(document, text)) {
        const parsed = parseManifest(manifest);
        ok('value' in parsed, JSON.stringify(parsed));
      }
    });
  }
}

test('README.zh.md has the headings and the code of README.md', () => {
  const levels = (document: string) => headingsOf(document).map(([, level]) => level);
  deepEqual(levels('README.zh.md'), levels('README.md'));
  deepEqual(blocksOf('README.zh.md'), blocksOf('README.md'));
});

for (const document of LINKING) {
  test(`${document}: every link inside the repository leads somewhere`, () => {
    const links = [...readText(document).matchAll(/\]\((?!https?:)([^)\s]*)\)/g)].map(([, link = '']) => link);
    for (const link of links) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      ok(existsSync(join(root, target)), link);
      if (anchor !== undefined) {
        const anchors = headingsOf(target).map(([, , text = '']) => toAnchor(text));
        ok(anchors.includes(anchor), `${link} is none of ${anchors.join(' ')}`);
      }
    }
  });
}

test('ARCHITECTURE.md names files that are there', () => {
  const named = [...readText('ARCHITECTURE.md').matchAll(/`([a-z][\w-]*\/[\w/-]+\.ts)`/g)].map(([, path = '']) => path);
  ok(named.length > 20);
  for (const path of named) ok(existsSync(join(root, 'src', path)) || existsSync(join(root, path)), path);
});

for (const document of ['README.md', 'README.zh.md']) {
  test(`${document} names tests that are there`, () => {
    const named = [...readText(document).matchAll(/`(?:test\/e2e\/)?([\w-]+\.test\.ts)`/g)].map(
      ([, name = '']) => name,
    );
    ok(named.length > 10);
    for (const name of named) ok(existsSync(join(root, 'test/e2e', name)), name);
  });
}

test('every command has its line in the changelog', () => {
  const text = readText('CHANGELOG.md');
  for (const { name } of COMMANDS) ok(text.includes(`\`${name}\``), name);
});

test('No message of the program names a command that there is not', () => {
  const known = new Set(COMMANDS.map(({ name }) => name.split(' ')[0]));
  const unknown: string[] = [];
  for (const [path, text] of readTree('src')) {
    for (const [, name = ''] of text.matchAll(/`skein ([a-z]+)/g))
      if (!known.has(name)) unknown.push(`${path}: ${name}`);
  }
  deepEqual(unknown, []);
});
