/** What the user gave a command: flags, else environment variables; files come behind them, in the commands. */

import { SkeinError } from '../core/errors.ts';
import type { Environment } from './environment.ts';

export interface OptionSpec {
  /** As commander reads it: `-X, --request <method>`, `--json`. */
  readonly flags: string;
  readonly description: string;
  /** Shown in the help as the default; applying it is up to the command. */
  readonly fallback?: string;
  readonly choices?: readonly string[];
  /** May be given several times. The environment form separates with commas. */
  readonly list?: boolean;
  /** With `list`: one flag may hold several values, separated by commas. */
  readonly commas?: boolean;
  /** False: there is no environment form, as for what one request says. @default true */
  readonly env?: boolean;
}

/** `listen-http` of `--listen-http <address>`. */
export function optionName(spec: OptionSpec): string {
  return /--([a-z][a-z-]*)/.exec(spec.flags)?.[1] ?? '';
}

/** `SKEIN_LISTEN_HTTP` of `--listen-http <address>`. */
export function environmentName(spec: OptionSpec): string {
  return `SKEIN_${optionName(spec).toUpperCase().replaceAll('-', '_')}`;
}

export class Input {
  readonly args: readonly string[];
  readonly #specs: ReadonlyMap<string, OptionSpec>;
  readonly #flags: Readonly<Record<string, unknown>>;
  readonly #env: Environment;

  constructor(
    specs: readonly OptionSpec[],
    args: readonly string[],
    flags: Readonly<Record<string, unknown>>,
    env: Environment,
  ) {
    this.args = args;
    this.#specs = new Map(specs.map((spec) => [optionName(spec), spec]));
    this.#flags = flags;
    this.#env = env;
  }

  /** Does the command have this option at all? */
  has(name: string): boolean {
    return this.#specs.has(name);
  }

  /** The value of an option, or undefined. @throws SkeinError SKEIN_CONFIG when the environment holds what the flag refuses */
  text(name: string): string | undefined {
    const spec = this.#spec(name);
    const flag = this.#flag(name);
    if (typeof flag === 'string') return flag;
    const value = this.#fromEnvironment(spec);
    if (value !== undefined && spec.choices !== undefined && !spec.choices.includes(value)) {
      throw new SkeinError(
        'SKEIN_CONFIG',
        `Cannot use ${environmentName(spec)}: expected one of ${spec.choices.join(', ')}`,
      );
    }
    return value;
  }

  /** Every value of a list option; undefined when it was not given, so that a file may speak. */
  list(name: string): readonly string[] | undefined {
    const spec = this.#spec(name);
    const flag = this.#flag(name);
    if (Array.isArray(flag)) return spec.commas === true ? flag.flatMap(splitCommas) : flag;
    const value = this.#fromEnvironment(spec);
    return value === undefined ? undefined : splitCommas(value);
  }

  /** A flag without value; `--no-x` is asked for as `no-x`. */
  flag(name: string): boolean {
    const spec = this.#spec(name);
    const flag = name.startsWith('no-') ? this.#flag(name.slice(3)) === false : this.#flag(name);
    if (flag === true) return true;
    const value = this.#fromEnvironment(spec);
    if (value === undefined) return false;
    if (/^(?:1|true|yes|on)$/i.test(value)) return true;
    if (/^(?:0|false|no|off)$/i.test(value)) return false;
    throw new SkeinError('SKEIN_CONFIG', `Cannot use ${environmentName(spec)}: expected true or false`);
  }

  #spec(name: string): OptionSpec {
    const spec = this.#specs.get(name);
    if (spec === undefined) throw new TypeError(`Cannot read option: "${name}" is not declared`);
    return spec;
  }

  #flag(name: string): unknown {
    return this.#flags[name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
  }

  #fromEnvironment(spec: OptionSpec): string | undefined {
    if (spec.env === false) return undefined;
    const value = this.#env[environmentName(spec)];
    return value === undefined || value === '' ? undefined : value;
  }
}

function splitCommas(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
