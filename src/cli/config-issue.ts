/** What is wrong in a file of the user, and the error that tells it. */

import { SkeinError } from '../core/errors.ts';

/** One thing wrong in a file, and where: `expose[0].target`. */
export interface ConfigIssue {
  readonly path: string;
  readonly message: string;
}

export function configError(name: string, issues: readonly ConfigIssue[]): SkeinError {
  const count = issues.length === 1 ? '1 issue' : `${issues.length} issues`;
  const remedy = `Correct ${name}; nothing was done with it.`;
  return new SkeinError('SKEIN_CONFIG', `Cannot use ${name}: ${count}`, { details: { file: name, issues, remedy } });
}
