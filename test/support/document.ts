/** Documents that are run: their files are written, their commands run, and they print what the document says. */
import { deepEqual, equal } from 'node:assert/strict';
import type { Administrator } from './administrator.ts';
import { readText } from './repository.ts';

type Step =
  | { readonly file: string; readonly text: string }
  | { readonly commands: readonly string[]; readonly prints: string };

/** Blocks of YAML are files, blocks of commands may be followed by what they print. */
export function readSteps(document: string): Step[] {
  const pattern = /<!-- file (\S+) -->\n```yaml\n(.*?)^```$|^```sh\n(.*?)^```\n(?:```text\n(.*?)^```$)?/gms;
  return [...readText(document).matchAll(pattern)].map(([, file, text = '', commands = '', prints = '']) =>
    file === undefined ? { commands: commands.trim().split('\n'), prints } : { file, text },
  );
}

interface RunOptions {
  /** Words that the document uses for what is known only when it runs. */
  readonly words?: Readonly<Record<string, string>>;
  readonly before?: (command: string) => Promise<void>;
  /** @default 1 for `skein diff`, 0 for others */
  readonly exitCodeOf?: (command: string) => number;
}

export async function runSteps(
  { write, run }: Administrator,
  steps: readonly Step[],
  { words = {}, before, exitCodeOf = (command) => (command.startsWith('skein diff') ? 1 : 0) }: RunOptions = {},
): Promise<void> {
  const replace = (text: string): string =>
    Object.entries(words).reduce((changed, [word, meant]) => changed.replaceAll(word, meant), text);
  for (const step of steps) {
    if ('file' in step) {
      await write(step.file, step.text);
      continue;
    }
    let printed = '';
    for (const command of step.commands) {
      await before?.(command);
      const { code, out, err } = await run(...splitWords(replace(command).replace(/^skein /, '')));
      equal(code, exitCodeOf(command), `${command}\n${err}`);
      printed += out + (err.startsWith('error:') ? err : '');
    }
    deepEqual(steady(printed).split('\n'), steady(step.prints).split('\n'), step.commands.join('\n'));
  }
}

/** As a shell does with quotes. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? '',
  );
}

/** Without times, which no document knows. */
function steady(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');
}
