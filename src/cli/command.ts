/** A command as data — name, options, examples, what it does — and how commander reads a command line into it. */

import { Argument, Command, CommanderError, Option } from 'commander';
import type { LogLevel } from '../core/log.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-code.ts';
import { Input, type OptionSpec } from './input.ts';

export interface CommandSpec {
  /** One word, or two for a member of a group (`token create`). */
  readonly name: string;
  readonly summary: string;
  /** More words for `--help`. */
  readonly description?: string;
  readonly args?: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  readonly examples: readonly [commandLine: string, does: string][];
  /** Least important events to log when nobody says. @default info */
  readonly logLevel?: LogLevel;
  /** The arguments are another program's command line: options behind the first belong to it. */
  readonly wrapsProgram?: boolean;
  /** Returns the exit code. */
  run(context: CommandContext): Promise<number>;
}

export interface ArgumentSpec {
  /** `<required>`, `[optional]`, `<many...>` */
  readonly form: string;
  readonly description: string;
}

/** Behind the list of commands. */
const HELP_END = `
The first call:
  skein hub
  skein expose api 3000
  skein call api/

A route or a policy, and the way back:
  skein lint -f routes.yaml
  skein apply -f routes.yaml
  skein apply --rollback
`;

/** Options that every command has. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--log <format>',
    description: 'form of log lines on stderr; json also makes the ready line on stdout JSON',
    choices: ['text', 'json'],
    fallback: 'text',
  },
  {
    flags: '--log-level <level>',
    description: 'least important events to log',
    choices: ['debug', 'info', 'warn', 'error'],
    fallback: 'info; for single calls error',
  },
];

export interface CommandLineIo {
  readonly columns: number;
  readonly version: string;
  out(text: string): void;
  err(text: string): void;
}

/** What a command line asks for: a command to run, or just this exit code because everything is said. */
export type Invocation = { readonly spec: CommandSpec; readonly input: Input } | { readonly exitCode: number };

export function parseCommandLine(
  specs: readonly CommandSpec[],
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  io: CommandLineIo,
): Invocation {
  let invocation: Invocation | undefined;
  const program = buildProgram(specs, io, (spec, args, values) => {
    invocation = { spec, input: new Input([...spec.options, ...COMMON_OPTIONS], args, values, env) };
  });
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { exitCode: error.exitCode === 0 ? EXIT.done : EXIT.usage };
  }
  // A group without a command, or nothing at all: commander has shown the help.
  return invocation ?? { exitCode: EXIT.usage };
}

/** The text of `skein <name> --help`. @public used by tools/docs.mjs */
export function helpOf(specs: readonly CommandSpec[], name: string, version: string): string {
  let text = '';
  const io: CommandLineIo = { columns: 100, version, out: (more) => (text += more), err: () => undefined };
  parseCommandLine(specs, [...name.split(' ').filter((word) => word !== ''), '--help'], {}, io);
  return text;
}

/** What commands of a group are about, where its name is not the word for it. */
const GROUPS: Readonly<Record<string, string>> = {
  authz: 'what policies allow',
  keys: 'signing keys of the issuer',
};

type OnAction = (spec: CommandSpec, args: readonly string[], values: Readonly<Record<string, unknown>>) => void;

function buildProgram(specs: readonly CommandSpec[], io: CommandLineIo, onAction: OnAction): Command {
  const program = configure(new Command('skein'), io)
    .description('A service mesh that needs nothing but an outbound WebSocket.')
    .version(io.version, '--version', 'print the version')
    .enablePositionalOptions()
    .addHelpText('after', HELP_END);
  const groups = new Map<string, Command>();
  for (const spec of specs) {
    const [first = '', second] = spec.name.split(' ');
    if (second === undefined) {
      program.addCommand(buildCommand(spec, first, io, onAction));
      continue;
    }
    let group = groups.get(first);
    if (group === undefined) {
      group = configure(new Command(first), io)
        .description(`commands about ${GROUPS[first] ?? `${first}s`}`)
        .enablePositionalOptions();
      groups.set(first, group);
      program.addCommand(group);
    }
    group.addCommand(buildCommand(spec, second, io, onAction));
  }
  return program;
}

function buildCommand(spec: CommandSpec, name: string, io: CommandLineIo, onAction: OnAction): Command {
  const command = configure(new Command(name), io)
    .summary(spec.summary)
    .description([spec.summary, spec.description].filter(Boolean).join('\n\n'));
  for (const { form, description } of spec.args ?? []) command.addArgument(new Argument(form, description));
  for (const option of [...spec.options, ...COMMON_OPTIONS]) command.addOption(toCommanderOption(option));
  if (spec.wrapsProgram === true) command.passThroughOptions();
  const examples = spec.examples.map(([line, does]) => `  # ${does}\n  ${line}\n`);
  command.addHelpText('after', `\nExamples:\n${examples.join('\n')}`);
  command.action(() => onAction(spec, command.args, command.opts()));
  return command;
}

function toCommanderOption(spec: OptionSpec): Option {
  const option = new Option(
    spec.flags,
    spec.fallback === undefined ? spec.description : `${spec.description} (default: ${spec.fallback})`,
  );
  if (spec.choices !== undefined) option.choices(spec.choices);
  if (spec.list === true)
    option.argParser<string[]>((value, before: string[] | undefined) => [...(before ?? []), value]);
  return option;
}

function configure(command: Command, io: CommandLineIo): Command {
  return command
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ showGlobalOptions: false })
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .showHelpAfterError('Add --help to see what is possible.');
}
