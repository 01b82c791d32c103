/** A CPU profile of V8 as sums of self time: by category, and by function. */

/** What `node --cpu-prof` writes, as far as it is read here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Node ids, one per sample, and the microseconds before each. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

type Frame = ProfileNode['callFrame'];

/** The first that fits decides; what Node does by native functions is known by their names. */
const CATEGORIES: readonly (readonly [name: string, fits: (frame: Frame) => boolean])[] = [
  ['idle', ({ functionName }) => functionName === '(idle)'],
  ['garbage collection', ({ functionName }) => functionName === '(garbage collector)'],
  [
    'system calls of sockets (write, read, shutdown)',
    ({ functionName, url }) => url === '' && /^(?:write|read|shutdown|connect|accept|open|close)/i.test(functionName),
  ],
  [
    'native, not told apart (system calls, the event loop)',
    ({ functionName }) => functionName === '(program)' || functionName === '(root)',
  ],
  [
    'crypto',
    ({ functionName, url }) =>
      url.includes('internal/crypto') ||
      (url === '' &&
        /^(?:Cipher|Decipher|Hash|Hmac|Sign|Verify|update|final|setAAD|setAuthTag|getAuthTag|digest|statelessDH)/i.test(
          functionName,
        )),
  ],
  ['ws', ({ url }) => url.includes('node_modules/ws/')],
  ["Node's streams, sockets and timers", ({ url }) => url.startsWith('node:')],
];

export function categoryOf(frame: Frame): string {
  const [known] = CATEGORIES.find(([, fits]) => fits(frame)) ?? [];
  if (known !== undefined) return known;
  const [, dependency] = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(frame.url) ?? [];
  if (dependency !== undefined) return dependency;
  const [, folder] = /\/(?:dist|src)\/(\w+)\//.exec(frame.url) ?? [];
  return folder === undefined ? 'other native functions' : `src/${folder}`;
}

/** File below the project, and line; empty for what is no script. */
export function placeOf({ url, lineNumber }: Frame): string {
  const path = url.replace(/^.*\/(?=(?:dist|src|node_modules)\/)/, '');
  return path === '' ? '' : `${path}:${lineNumber + 1}`;
}

/** Microseconds by category, the most first. */
export function sumByCategory(profile: CpuProfile): ReadonlyMap<string, number> {
  return sumBy(profile, categoryOf);
}

/** Microseconds by function and place, the most first; idle time is left out. */
export function sumByFunction(profile: CpuProfile): ReadonlyMap<string, number> {
  const nameOf = (frame: Frame) => {
    const place = placeOf(frame);
    return `${frame.functionName || '(anonymous)'}${place === '' ? '' : `  ${place}`}`;
  };
  const sums = new Map(sumBy(profile, nameOf));
  sums.delete('(idle)');
  return sums;
}

/** Microseconds of each node (id) by itself. */
export function spentByNode({ samples, timeDeltas }: CpuProfile): ReadonlyMap<number, number> {
  const spent = new Map<number, number>();
  // The time before a sample belongs to what the sample before it found.
  for (const [i, id] of samples.entries()) spent.set(id, (spent.get(id) ?? 0) + (timeDeltas[i + 1] ?? 0));
  return spent;
}

function sumBy(profile: CpuProfile, keyOf: (frame: Frame) => string): Map<string, number> {
  const keys = new Map(profile.nodes.map(({ id, callFrame }) => [id, keyOf(callFrame)]));
  const sums = new Map<string, number>();
  for (const [id, micros] of spentByNode(profile)) {
    const key = keys.get(id) ?? 'unknown';
    sums.set(key, (sums.get(key) ?? 0) + micros);
  }
  return new Map([...sums].sort(([, a], [, b]) => b - a));
}
