/** The request that `skein call` makes of curl-like options. */

import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import { concatBytes, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { parseServicePort } from './address.ts';

export interface CallOptions {
  readonly method: string | undefined;
  /** `name: value` each. */
  readonly fields: readonly string[];
  /** Parts of the body, in order. */
  readonly data: readonly Uint8Array[];
  readonly json: boolean;
  readonly head: boolean;
}

/**
 * Turns `api/path`, `api.shop:8080/path` or `http://api.mesh/path` into the URL of a mesh service. A second
 * argument is the path.
 * @throws SkeinError SKEIN_CONFIG
 */
export function parseCallTarget(text: string, path = '', namespace: string = DEFAULT_NAMESPACE): string {
  const bare = text.replace(/^http:\/\//, '');
  const slash = bare.search(/[/?]/);
  const authority = slash < 0 ? bare : bare.slice(0, slash);
  const rest = `${slash < 0 ? '' : bare.slice(slash)}${path}`;
  const [host = '', port] = authority.split(':');
  const name = host.replace(/\.mesh$/, '');
  const { service } = parseServicePort(port === undefined ? name : `${name}:${port}`, namespace);
  const target = rest.startsWith('/') ? rest : `/${rest}`;
  // Blanks and control characters would end the request line; what else is odd is for the other side to judge.
  if (/[^\x21-\x7e]/.test(target)) {
    throw new SkeinError(
      'SKEIN_CONFIG',
      `Cannot call "${text}": the path holds characters that must be percent-encoded`,
    );
  }
  return `http://${service}.mesh${port === undefined ? '' : `:${port}`}${target}`;
}

/** @throws SkeinError SKEIN_CONFIG */
export function createCallRequest(url: string, options: CallOptions): Request {
  const headers = new Headers({ accept: '*/*' });
  const body = options.data.length === 0 ? null : joinData(options.data, options.json);
  if (body !== null) {
    headers.set('content-type', options.json ? 'application/json' : 'application/x-www-form-urlencoded');
  }
  if (options.json) headers.set('accept', 'application/json');
  const given = new Set<string>();
  for (const field of options.fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, Math.max(colon, 0)).trim();
    try {
      // The first of a name replaces what is set above, the next are added to it.
      if (given.has(name.toLowerCase())) headers.append(name, field.slice(colon + 1).trim());
      else headers.set(name, field.slice(colon + 1).trim());
      given.add(name.toLowerCase());
    } catch (error) {
      throw new SkeinError('SKEIN_CONFIG', `Cannot use header "${name}": expected name: value`, { cause: error });
    }
  }
  const method = options.method ?? (options.head ? 'HEAD' : body === null ? 'GET' : 'POST');
  // Checked here, because not every runtime does: Bun makes GET of a method it does not know.
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(method)) throw refuse(`"${method}" is no method`);
  if (body !== null && /^(?:GET|HEAD)$/i.test(method)) throw refuse(`${method} has no body`);
  let request: Request;
  try {
    request = new Request(url, {
      ...{ method, headers, redirect: 'manual' },
      body: body === null ? null : new Uint8Array(body),
    });
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error), error);
  }
  if (request.method.toUpperCase() !== method.toUpperCase()) throw refuse(`this runtime cannot use method "${method}"`);
  return request;
}

function refuse(why: string, cause?: unknown): SkeinError {
  return new SkeinError('SKEIN_CONFIG', `Cannot make request: ${why}`, { cause });
}

/** Forms are joined by `&`, JSON is not. */
function joinData(parts: readonly Uint8Array[], json: boolean): Uint8Array {
  const separator = encodeUtf8(json ? '' : '&');
  return concatBytes(...parts.flatMap((part, i) => (i === 0 ? [part] : [separator, part])));
}
