/** A request as people write it on a command line, to ask what would happen to it. */

import { SkeinError } from '../core/errors.ts';
import { toByteText } from '../core/text.ts';
import type { CommandContext } from './context.ts';

export interface AskedRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly fields: readonly string[];
}

/** @throws SkeinError SKEIN_CONFIG */
export function readRequest({ input }: CommandContext, method: string, target: string): AskedRequest {
  const bare = target.replace(/^http:\/\//, '');
  const slash = bare.search(/[/?]/);
  const path = slash < 0 ? '/' : bare.slice(slash);
  const fields: string[] = [];
  const name = slash < 0 ? bare : bare.slice(0, slash);
  let authority = bare === target ? toAuthority(name) : name;
  for (const field of input.list('header') ?? []) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*?)\s*$/.exec(field) ?? [];
    if (name === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot use header "${field}": expected name: value`);
    if (name.toLowerCase() !== 'host') fields.push(name.toLowerCase(), toByteText(value));
    else if (authority === '') authority = value;
  }
  if (authority === '') {
    throw new SkeinError('SKEIN_CONFIG', `Cannot explain "${target}": it names no service`, {
      details: { remedy: 'Write the service before the path, as in api/orders, or give a Host field with -H.' },
    });
  }
  return { method, authority, path: path.startsWith('/') ? path : `/${path}`, fields };
}

/** `api.shop` is a service of another namespace, as everywhere on the command line; the router wants it whole. */
function toAuthority(text: string): string {
  const [name = '', port] = text.split(':');
  const whole = !name.includes('.') || name.endsWith('.mesh') ? name : `${name}.mesh`;
  return port === undefined ? whole : `${whole}:${port}`;
}
