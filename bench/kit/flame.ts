/** A CPU profile of V8 as a flame graph: which functions ran below which, and for how long. */
import { type CpuProfile, categoryOf, type ProfileNode, placeOf, spentByNode } from './profile-sums.ts';

/** One function below one chain of callers; its time covers what it called. */
export interface Flame {
  readonly name: string;
  /** `src/http/h1-reader.js:12`; empty for native functions. */
  readonly place: string;
  readonly category: string;
  /** Share of all busy time, 0 to 1. */
  readonly share: number;
  /** The greatest first. What is missing to `share` is the function's own, or too small to be drawn. */
  readonly below: readonly Flame[];
}

interface Growing {
  readonly name: string;
  readonly place: string;
  readonly category: string;
  micros: number;
  readonly below: Map<string, Growing>;
}

const ROOT = '(root)';
const IDLE = '(idle)';

/**
 * @param least branches with a smaller share of the busy time are left out
 * @returns the root: everything but idle time
 */
export function toFlame(profile: CpuProfile, least: number): Flame {
  const spent = spentByNode(profile);
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const root: Growing = { name: 'all', place: '', category: '', micros: 0, below: new Map() };
  const children = new Set(profile.nodes.flatMap((node) => node.children ?? []));
  const todo = profile.nodes.filter(({ id }) => !children.has(id)).map((node) => ({ node, chain: [root] }));
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { node, chain } = next;
    const { functionName } = node.callFrame;
    if (functionName === IDLE) continue;
    const own = functionName === ROOT ? chain : [...chain, childOf(chain.at(-1) as Growing, node.callFrame)];
    for (const each of own) each.micros += spent.get(node.id) ?? 0;
    for (const id of node.children ?? []) {
      const child = nodes.get(id);
      if (child !== undefined) todo.push({ node: child, chain: own });
    }
  }
  return finish(root, root.micros, least);
}

function childOf(parent: Growing, frame: ProfileNode['callFrame']): Growing {
  const place = placeOf(frame);
  const name = frame.functionName || '(anonymous)';
  const key = `${name} ${place}`;
  let child = parent.below.get(key);
  if (child === undefined) {
    child = { name, place, category: categoryOf(frame), micros: 0, below: new Map() };
    parent.below.set(key, child);
  }
  return child;
}

function finish({ name, place, category, micros, below }: Growing, total: number, least: number): Flame {
  const drawn = [...below.values()].filter((each) => each.micros / total >= least);
  return {
    ...{ name, place, category },
    share: total === 0 ? 0 : Number((micros / total).toFixed(4)),
    below: drawn.sort((a, b) => b.micros - a.micros).map((each) => finish(each, total, least)),
  };
}
