/** What the documents show is what the program takes: every command line and every YAML block of them. */
import { ok } from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../../../src/catalog/parse.ts';
import { parseCommandLine } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { parseSidecarFile } from '../../../src/cli/config.ts';
import { parseManifests } from '../../../src/cli/manifest.ts';
import { readText } from '../../support/repository.ts';

const DOCUMENTS = ['README.md', 'docs/operations.md', 'docs/security.md'];

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

/** The words of each `skein …` line, continuations joined, comments and pipes cut off. */
function commandLinesOf(text: string): string[][] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(?:^|\s)#.*$/, '').replace(/\s[|>&].*$/, ''))
    .map((line) => line.trim().split(/\s+/))
    .filter(([first]) => first === 'skein')
    .map(([, ...words]) => words);
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
