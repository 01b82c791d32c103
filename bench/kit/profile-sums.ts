/** A CPU profile of V8 as sums of self time: by category, and by function. */

/** What `node --cpu-prof` writes, as far as it is read here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Node ids, one per sample, and the microseconds before each. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
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

/** Microseconds by category, the most first. */
export function sumByCategory(profile: CpuProfile): ReadonlyMap<string, number> {
  return sumBy(profile, categoryOf);
}

/** Microseconds by function and place, the most first; idle time is left out. */
export function sumByFunction(profile: CpuProfile): ReadonlyMap<string, number> {
  const nameOf = ({ functionName, url, lineNumber }: Frame) => {
    const place = url.replace(/^.*\/(?=(?:dist|src|node_modules)\/)/, '');
    return `${functionName || '(anonymous)'}${place === '' ? '' : `  ${place}:${lineNumber + 1}`}`;
  };
  const sums = new Map(sumBy(profile, nameOf));
  sums.delete('(idle)');
  return sums;
}

function sumBy({ nodes, samples, timeDeltas }: CpuProfile, keyOf: (frame: Frame) => string): Map<string, number> {
  const keys = new Map(nodes.map(({ id, callFrame }) => [id, keyOf(callFrame)]));
  const sums = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const key = keys.get(id) ?? 'unknown';
    // The time before a sample belongs to what the sample before it found.
    sums.set(key, (sums.get(key) ?? 0) + (timeDeltas[i + 1] ?? 0));
  }
  return new Map([...sums].sort(([, a], [, b]) => b - a));
}
