/** CORS: answers preflights for the service, and says in its answers which pages may read them (Fetch §3.2, HTTPCORSFilter). */

import type { Cors } from '../../catalog/http-filter.ts';
import { EMPTY } from '../../core/bytes.ts';
import { removeField } from '../../http/fields.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from '../../http/head.ts';
import { answerLater } from '../../http/refusal.ts';
import { changeAnswers, type Filter } from './filter.ts';

/** Methods that need no preflight are always allowed (Fetch §2.2.1, CORS-safelisted). */
const SAFELISTED = ['GET', 'HEAD', 'POST'] as const;

const WELL_KNOWN: Readonly<Record<string, string>> = { http: '80', https: '443' };

export function createCors(cors: Cors): Filter {
  const allows = compileOrigins(cors.allowOrigins);
  return {
    type: 'CORS',
    summary: `for pages of ${cors.allowOrigins.join(', ') || 'nowhere'}`,
    isPure: true,
    wrap: (next) => {
      const withFields = changeAnswers(next, (answer, request) => {
        const origin = getField(request.fields, 'origin');
        return withCors(answer, cors, origin !== undefined && allows(origin) ? origin : undefined);
      });
      return {
        request: (head, complete, reply) => {
          const origin = getField(head.fields, 'origin');
          if (origin === undefined || !isPreflight(head)) return withFields.request(head, complete, reply);
          const fields = allows(origin) ? toPreflightFields(cors, origin, head) : [];
          const answer: ResponseHead = {
            status: 204,
            fields: [...fields, 'vary', 'origin', 'x-skein-reason', 'cors-preflight'],
            upgrade: undefined,
          };
          return answerLater(reply, { head: answer, body: EMPTY });
        },
      };
    },
  };
}

function isPreflight({ method, fields }: RequestHead): boolean {
  return method === 'OPTIONS' && getField(fields, 'access-control-request-method') !== undefined;
}

function toPreflightFields(cors: Cors, origin: string, { fields }: RequestHead): string[] {
  const { allowCredentials, allowHeaders, allowMethods, maxAge } = cors;
  const asked = {
    method: getField(fields, 'access-control-request-method'),
    headers: getField(fields, 'access-control-request-headers'),
  };
  const methods = toList([...new Set([...SAFELISTED, ...allowMethods])], asked.method, allowCredentials);
  const headers = toList(allowHeaders, asked.headers, allowCredentials);
  return [
    ...toOriginFields(cors, origin),
    ...(methods === undefined ? [] : ['access-control-allow-methods', methods]),
    ...(headers === undefined ? [] : ['access-control-allow-headers', headers]),
    'access-control-max-age',
    String(maxAge),
  ];
}

/** With credentials `*` would be a name like any other (Fetch §3.2.5): what was asked for is repeated instead. */
function toList(allowed: readonly string[], asked: string | undefined, credentials: boolean): string | undefined {
  if (!allowed.includes('*')) return allowed.length === 0 ? undefined : allowed.join(', ');
  return credentials ? asked : '*';
}

function toOriginFields({ allowCredentials, allowOrigins }: Cors, origin: string): string[] {
  const isOpen = allowOrigins.includes('*') && !allowCredentials;
  return [
    'access-control-allow-origin',
    isOpen ? '*' : origin,
    ...(allowCredentials ? ['access-control-allow-credentials', 'true'] : []),
  ];
}

/** What the application says of CORS itself is replaced: two answers to one question would be none. */
function withCors(answer: ResponseHead, cors: Cors, origin: string | undefined): ResponseHead {
  let fields: Fields = answer.fields;
  for (const name of OWN_FIELDS) fields = removeField(fields, name);
  const exposed = toList(cors.exposeHeaders, undefined, cors.allowCredentials);
  const own =
    origin === undefined
      ? []
      : [...toOriginFields(cors, origin), ...(exposed === undefined ? [] : ['access-control-expose-headers', exposed])];
  return { ...answer, fields: [...fields, ...own, 'vary', 'origin'] };
}

const OWN_FIELDS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
] as const;

/** A `*` in the host stands for any number of labels; the port of a scheme may be left out on either side. */
export function compileOrigins(patterns: readonly string[]): (origin: string) => boolean {
  if (patterns.includes('*')) return () => true;
  const tests = patterns.map(compileOrigin);
  return (origin) => {
    const parsed = parseOrigin(origin.toLowerCase());
    return parsed !== undefined && tests.some((test) => test(parsed));
  };
}

interface Origin {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
}

function compileOrigin(pattern: string): (origin: Origin) => boolean {
  const wanted = parseOrigin(pattern.toLowerCase());
  if (wanted === undefined) return () => false;
  const { scheme, host, port } = wanted;
  const isHost = !host.startsWith('*')
    ? (name: string) => name === host
    : (name: string) => name.endsWith(host.slice(1));
  return (origin) => origin.scheme === scheme && origin.port === port && isHost(origin.host);
}

function parseOrigin(text: string): Origin | undefined {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/:@?#]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, scheme = '', host = '', port = WELL_KNOWN[scheme] ?? ''] = match;
  return { scheme, host, port };
}
