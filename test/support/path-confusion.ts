/** Paths that servers do not agree on, and models of how they read them. */

const strip = (target: string): string => target.split('?', 1)[0] as string;

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
}

/** RFC 3986 §5.2.4. */
function removeDots(path: string): string {
  const out: string[] = [];
  for (const segment of path.split('/').slice(1)) {
    if (segment === '..') out.pop();
    else if (segment !== '.') out.push(segment);
  }
  return `/${out.join('/')}`;
}

const merge = (path: string): string => path.replace(/\/{2,}/g, '/');
const dropParameters = (path: string): string => path.replace(/;[^/]*/g, '');
const backslashes = (path: string): string => path.replaceAll('\\', '/');

/** How servers get from the target to the path that they route by. */
export const READERS: readonly [name: string, read: (target: string) => string][] = [
  ['a router on the bytes as sent', (target) => strip(target)],
  ['a router without regard to case and last slash', (target) => strip(target).toLowerCase().replace(/\/$/, '')],
  ['new URL with a host put in front', (target) => new URL(`http://host${target}`).pathname],
  ['new URL against a base', (target) => new URL(target, 'http://host').pathname],
  ['decode, then route', (target) => decode(strip(target))],
  ['decode, then split off the query', (target) => strip(decode(target))],
  ['decode, merge slashes, remove dots (nginx)', (target) => removeDots(merge(decode(strip(target))))],
  ['decode, remove dots, keep slashes', (target) => removeDots(decode(strip(target)))],
  ['remove dots, merge slashes', (target) => merge(removeDots(strip(target)))],
  ['merge slashes, remove dots (path.Clean)', (target) => removeDots(merge(strip(target)))],
  [
    'drop parameters, decode, remove dots (servlets)',
    (target) => removeDots(merge(decode(dropParameters(strip(target))))),
  ],
  ['decode, drop parameters, remove dots', (target) => removeDots(merge(dropParameters(decode(strip(target)))))],
  ['decode twice, merge, remove dots', (target) => removeDots(merge(decode(decode(strip(target)))))],
  ['backslashes are slashes', (target) => removeDots(merge(backslashes(decode(strip(target)))))],
  ['a NUL ends the path', (target) => decode(strip(target)).split('\0', 1)[0] as string],
];

function isAdmin(path: string): boolean {
  return path === '/admin' || path.startsWith('/admin/');
}

export function readersOfAdmin(target: string): string[] {
  return READERS.filter(([, read]) => {
    try {
      return isAdmin(read(target));
    } catch {
      return false; // such a server answers 400
    }
  }).map(([name]) => name);
}

/** Spellings of `to` behind or instead of `from`: `/public/x` that some server takes for `/admin/x`. */
export function spellings(): string[] {
  const up = [
    '..',
    '%2e%2e',
    '.%2e',
    '%2E.',
    '..;',
    '..;x=1',
    '%252e%252e',
    '..%00',
    '%c0%ae%c0%ae',
    '..%3b',
    '.%252e',
  ];
  const slash = ['/', '//', '%2f', '%2F', '%252f', '\\', '%5c', '%255c', '/./', '/.;/', '/%2e/', '/;/', '/;a=b/'];
  const out: string[] = [];
  for (const dots of up) for (const at of slash) out.push(`/public${at}${dots}${at}admin/x`);
  const admins = [
    'admin',
    '%61dmin',
    'adm%69n',
    '%2561dmin',
    'Admin',
    'ADMIN',
    'admin;x',
    'admin%3bx',
    'admin%00',
    'admin%23',
  ];
  for (const admin of admins) {
    out.push(`/${admin}`, `/${admin}/`, `/${admin}/x`, `//${admin}/x`, `/./${admin}/x`, `/${admin}?x=/public/`);
    out.push(`//host/${admin}/x`, `/public//../${admin}`, `/\\host/${admin}`, `/${admin}%2fx`, `/${admin}%3fx`);
  }
  return out;
}
