/** A document as a walk: its code blocks, each with what the comment above it tells the test to do with it. */

/** `<!-- test: … -->` stands above each block that is walked, or alone to stop what runs. */
export type Step =
  | { readonly kind: 'run'; readonly line: number; readonly text: string; readonly expect: readonly string[] }
  | {
      readonly kind: 'start';
      readonly line: number;
      readonly text: string;
      readonly until: Sign;
      readonly needs: readonly string[];
    }
  | { readonly kind: 'file'; readonly line: number; readonly text: string; readonly name: string }
  | { readonly kind: 'shown'; readonly line: number; readonly text: string }
  | { readonly kind: 'stop'; readonly line: number; readonly but: string | undefined };

/** By what a program that goes on running is known to be ready. */
export type Sign = { readonly output: RegExp } | { readonly port: number };

/** Blocks in these languages are for reading; a block in another must say what is to be done with it. */
const FOR_READERS = new Set(['text', 'ts', 'json']);

const COMMENT = /^<!-- test: (.*) -->$/;

export function readWalk(document: string): Step[] {
  const steps: Step[] = [];
  const lines = document.split('\n');
  let told: string | undefined;
  for (let i = 0; i < lines.length; i++) {
    const at = i + 1;
    const comment = COMMENT.exec(lines[i] ?? '')?.[1];
    if (comment !== undefined) {
      if (comment.startsWith('stop everything'))
        steps.push({ kind: 'stop', line: at, but: /but "(.*)"$/.exec(comment)?.[1] });
      else told = comment;
      continue;
    }
    const language = /^```(\w+)$/.exec(lines[i] ?? '')?.[1];
    if (language === undefined) continue;
    const end = lines.indexOf('```', i);
    const text = lines.slice(i + 1, end).join('\n');
    if (told !== undefined) steps.push(toStep(told, at, text));
    else if (!FOR_READERS.has(language)) throw new Error(`Line ${at}: a block without a word on what to do with it`);
    told = undefined;
    i = end;
  }
  return steps;
}

function toStep(told: string, line: number, text: string): Step {
  const file = /^file (\S+)$/.exec(told)?.[1];
  if (file !== undefined) return { kind: 'file', line, text, name: file };
  if (told === 'lines of the last output') return { kind: 'shown', line, text };
  const needs = /^needs (\w+), /.exec(told)?.[1];
  const needed = needs === undefined ? [] : [needs];
  const output = /run until \/(.*)\/$/.exec(told)?.[1];
  if (output !== undefined) return { kind: 'start', line, text, until: { output: new RegExp(output) }, needs: needed };
  const port = /run until it listens on (\d+)$/.exec(told)?.[1];
  if (port !== undefined) return { kind: 'start', line, text, until: { port: Number(port) }, needs: needed };
  if (/^run(?:, expect ".*")?$/.test(told)) {
    const expect = [...told.matchAll(/"([^"]*)"/g)].map(([, part = '']) => part);
    return { kind: 'run', line, text, expect };
  }
  throw new Error(`Line ${line}: cannot understand "${told}"`);
}
