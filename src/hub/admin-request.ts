/** What a request of an administrator says, read strictly. */

import * as v from 'valibot';
import { SkeinError } from '../core/errors.ts';

/** @throws SkeinError SKEIN_RESOURCE_INVALID */
export function readRequest<T>(schema: v.GenericSchema<unknown, T>, request: unknown, action: string): T {
  const parsed = v.safeParse(schema, request);
  if (parsed.success) return parsed.output;
  const issues = parsed.issues.map(({ path, message }) => ({
    path: path?.map(({ key }) => String(key)).join('.') ?? '',
    message,
  }));
  throw new SkeinError('SKEIN_RESOURCE_INVALID', `${action}: the request is not valid`, { details: { issues } });
}
