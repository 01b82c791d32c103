/** `${NAME}` in the strings of a parsed file, replaced by environment variables. */

import type { ConfigIssue } from './config-issue.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})/g;

/**
 * Replaces `${NAME}` and `${NAME:-default}` in every string of `value`; `$$` is a dollar sign. It works on parsed
 * values, so that no variable can add structure to the file. A variable that is not set is an issue.
 */
export function expandEnvironment(value: unknown, env: Environment, issues: ConfigIssue[], path = ''): unknown {
  if (typeof value === 'string') {
    return value.replace(REFERENCE, (whole, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return whole === '$$' ? '$' : whole;
      const found = env[name] ?? fallback;
      if (found === undefined) issues.push({ path, message: `environment variable ${name} is not set` });
      return found ?? '';
    });
  }
  if (Array.isArray(value)) {
    return value.map((item, i) => expandEnvironment(item, env, issues, `${path}[${i}]`));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        expandEnvironment(item, env, issues, path === '' ? key : `${path}.${key}`),
      ]),
    );
  }
  return value;
}
