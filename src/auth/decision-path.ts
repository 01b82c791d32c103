/**
 * The path as policy sees it: decoded, merged, without dot segments and parameters. The bytes that are forwarded stay
 * untouched. Where two servers could read a path differently it is called ambiguous, and a rule that could depend on it
 * denies (features AZ6).
 */

export interface DecisionPath {
  readonly path: string;
  /** `%2f`, `%5c`, `%00`, a backslash, bytes that are not UTF-8, a broken or a third level of escapes. */
  readonly ambiguous: boolean;
}

/** Nothing in such a path can be read in two ways, so it is its own decision path. */
const PLAIN = /^\/(?:[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*(?:\/|$))*$/;
const MAX_DECODES = 2;

/** `target` is the request's path with or without query; `*` and the empty path of CONNECT are taken as they are. */
export function toDecisionPath(target: string): DecisionPath {
  const query = target.indexOf('?');
  const raw = query < 0 ? target : target.slice(0, query);
  if (PLAIN.test(raw)) return { path: raw, ambiguous: false };
  if (!raw.startsWith('/')) return { path: raw, ambiguous: raw !== '*' && raw !== '' };
  let ambiguous = false;
  let text = raw;
  for (let round = 0; text.includes('%'); round++) {
    if (round === MAX_DECODES || /%(?:2f|5c|00)/i.test(text)) {
      ambiguous = true;
      break;
    }
    const decoded = tryDecode(text);
    if (decoded === undefined) {
      ambiguous = true;
      break;
    }
    // a decoded "%" that starts no escape is a plain character
    if (decoded === text || !/%[0-9a-f]{2}/i.test(decoded)) {
      text = decoded;
      break;
    }
    text = decoded;
  }
  if (hasControlOrBackslash(text) || text.includes('#')) ambiguous = true;
  return { path: removeDots(text.replaceAll('\\', '/')), ambiguous };
}

function hasControlOrBackslash(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f || code === 0x5c) return true;
  }
  return false;
}

function tryDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Drops parameters (`;a=b`), empty and dot segments (RFC 3986 §5.2.4); a last slash stays, because it is another resource. */
function removeDots(text: string): string {
  const out: string[] = [];
  const segments = text.split('/');
  let directory = false;
  for (let i = 1; i < segments.length; i++) {
    const [segment = ''] = (segments[i] as string).split(';', 1);
    directory = segment === '' || segment === '.' || segment === '..';
    if (segment === '..') out.pop();
    else if (!directory) out.push(segment);
  }
  return `/${out.join('/')}${directory && out.length > 0 ? '/' : ''}`;
}
