/**
 * The path as policy sees it: decoded, merged, without dot segments and parameters. The bytes that are forwarded stay
 * untouched, so an application may read them in another way than we do; where that could matter, the path is called
 * ambiguous, and a rule that looks at it decides for the safe side (features AZ6).
 */

export interface DecisionPath {
  readonly path: string;
  /** Known servers read it differently; see the comments below for who and how. */
  readonly ambiguous: boolean;
}

/** What only a path has that needs a second look: escapes, parameters, dot segments, double slashes, no plain ASCII. */
const ODD = /[^!-~]|[%;\\#]|\/\.|\/\//;
/** Escapes that are structure to those who decode before they split, and text to those who split first. */
const STRUCTURAL_ESCAPE = /%(?:2f|5c|00|3f|23|3b)/i;
const ESCAPE = /%[0-9a-f]{2}/i;
/** Twice is what careless chains of servers do; a third level is an attack. */
const MAX_DECODES = 2;

/** `target` is the request's path with or without query. `*` is taken as it is; CONNECT has none, which no rule can judge. */
export function toDecisionPath(target: string): DecisionPath {
  const query = target.indexOf('?');
  const raw = query < 0 ? target : target.slice(0, query);
  if (raw.charCodeAt(0) !== 0x2f) return { path: raw, ambiguous: raw !== '*' };
  if (!ODD.test(raw)) return { path: raw, ambiguous: false };
  // "//x/y" is host "x" to whoever resolves it as a URL reference; bytes that are no ASCII have no one decoding
  let ambiguous = raw.startsWith('//') || !isPlainText(raw);
  let text = raw;
  for (let round = 0; round === 0 ? text.includes('%') : ESCAPE.test(text); round++) {
    const decoded = round === MAX_DECODES || STRUCTURAL_ESCAPE.test(text) ? undefined : tryDecode(text);
    if (decoded === undefined) {
      ambiguous = true;
      break;
    }
    text = decoded;
  }
  return normalize(text, ambiguous || hasControl(text));
}

/** undefined: a broken escape, or bytes that are not UTF-8, overlong forms included. */
function tryDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** ASCII without what some servers take for a slash, and what never stands in a path. */
function isPlainText(text: string): boolean {
  return !/[^!-~]|[\\#]/.test(text);
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/** Drops parameters (`;a=b`), empty and dot segments (RFC 3986 §5.2.4); a last slash stays, because it is another resource. */
function normalize(text: string, isAmbiguous: boolean): DecisionPath {
  let ambiguous = isAmbiguous;
  const out: string[] = [];
  const segments = text.replaceAll('\\', '/').split('/');
  let directory = false;
  for (let i = 1; i < segments.length; i++) {
    const whole = segments[i] as string;
    const [segment = ''] = whole.split(';', 1);
    const dots = segment === '.' || segment === '..';
    directory = dots || segment === '';
    // routers that match the bytes as sent keep dots, URL parsers take them away; and not all merge slashes before that
    if (dots || (segment === '' && whole !== '')) ambiguous = true;
    if (segment === '..') out.pop();
    else if (!directory) out.push(segment);
  }
  return { path: `/${out.join('/')}${directory && out.length > 0 ? '/' : ''}`, ambiguous };
}
