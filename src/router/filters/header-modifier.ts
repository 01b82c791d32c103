/** RequestHeaderModifier and ResponseHeaderModifier: set, add and remove header fields. */

import type { HeaderModifier } from '../../catalog/http-filter.ts';
import { toByteText } from '../../core/text.ts';
import type { Fields } from '../../http/head.ts';
import { changeAnswers, changeRequests, type Filter } from './filter.ts';

export function createRequestHeaderModifier(modifier: HeaderModifier): Filter {
  const change = compileModifier(modifier);
  return {
    type: 'RequestHeaderModifier',
    summary: summarize(modifier),
    isPure: true,
    wrap: (next) => changeRequests(next, (head) => ({ ...head, fields: change(head.fields) })),
  };
}

export function createResponseHeaderModifier(modifier: HeaderModifier): Filter {
  const change = compileModifier(modifier);
  return {
    type: 'ResponseHeaderModifier',
    summary: summarize(modifier),
    isPure: true,
    wrap: (next) => changeAnswers(next, (head) => ({ ...head, fields: change(head.fields) })),
  };
}

interface Field {
  readonly name: string;
  readonly value: string;
}

/** Fields in, fields out. No field is named twice in a modifier, so that the order of its parts does not matter. */
export function compileModifier({ set, add, remove }: HeaderModifier): (fields: Fields) => Fields {
  const setting = set.map(toField);
  const adding = add.map(toField);
  const gone = new Set([...setting.map(({ name }) => name), ...remove.map((name) => name.toLowerCase())]);
  return (fields) => {
    const kept: string[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] as string;
      if (!gone.has(name)) kept.push(name, fields[i + 1] as string);
    }
    for (const { name, value } of setting) kept.push(name, value);
    for (const { name, value } of adding) addField(kept, name, value);
    return kept;
  };
}

function toField({ name, value }: Field): Field {
  return { name: name.toLowerCase(), value: toByteText(value) };
}

/** Behind the value that there is (RFC 9110 §5.3), but for `set-cookie`, whose values cannot be combined. */
function addField(fields: string[], name: string, value: string): void {
  if (name !== 'set-cookie') {
    for (let i = fields.length - 2; i >= 0; i -= 2) {
      if (fields[i] !== name) continue;
      fields[i + 1] = `${fields[i + 1]},${value}`;
      return;
    }
  }
  fields.push(name, value);
}

function summarize({ set, add, remove }: HeaderModifier): string {
  return [
    ...set.map(({ name, value }) => `set ${name}: ${value}`),
    ...add.map(({ name, value }) => `add ${name}: ${value}`),
    ...remove.map((name) => `remove ${name}`),
  ].join(', ');
}
