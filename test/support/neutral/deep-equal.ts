/** Equality of values as `node:assert/strict` means it: same kind, same parts, each of them the same. */

type Pairs = WeakMap<object, WeakSet<object>>;

export function isDeepEqual(a: unknown, b: unknown, seen: Pairs = new WeakMap()): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  // What is being compared further up is equal unless something else differs.
  const before = seen.get(a);
  if (before?.has(b)) return true;
  seen.set(a, (before ?? new WeakSet()).add(b));
  return haveSameContent(a, b, seen) && haveSameMembers(a, b, seen);
}

/** What objects hold beside their members. */
function haveSameContent(a: object, b: object, seen: Pairs): boolean {
  if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime());
  if (a instanceof RegExp) return String(a) === String(b) && a.lastIndex === (b as RegExp).lastIndex;
  if (a instanceof Error) {
    const { name, message, cause } = b as Error;
    return a.name === name && a.message === message && isDeepEqual(a.cause, cause, seen);
  }
  if (a instanceof ArrayBuffer) return isDeepEqual(new Uint8Array(a), new Uint8Array(b as ArrayBuffer), seen);
  if (ArrayBuffer.isView(a)) return a.byteLength === (b as ArrayBufferView).byteLength;
  if (a instanceof Map) return haveSameEntries(a, b as Map<unknown, unknown>, seen);
  if (a instanceof Set) {
    const rest = [...(b as Set<unknown>)];
    return a.size === rest.length && [...a].every((each) => takeFrom(rest, (other) => isDeepEqual(each, other)));
  }
  if (Array.isArray(a)) return a.length === (b as unknown[]).length;
  return true;
}

function haveSameEntries(a: Map<unknown, unknown>, b: Map<unknown, unknown>, seen: Pairs): boolean {
  if (a.size !== b.size) return false;
  const rest = [...b];
  return [...a].every(([key, value]) =>
    takeFrom(rest, ([otherKey, other]) => isDeepEqual(key, otherKey) && isDeepEqual(value, other, seen)),
  );
}

/** Removes the first that fits. */
function takeFrom<T>(rest: T[], fits: (each: T) => boolean): boolean {
  const at = rest.findIndex(fits);
  if (at >= 0) rest.splice(at, 1);
  return at >= 0;
}

function haveSameMembers(a: object, b: object, seen: Pairs): boolean {
  if (ArrayBuffer.isView(a) && !(a instanceof DataView)) {
    const [left, right] = [a, b] as unknown as [ArrayLike<unknown>, ArrayLike<unknown>];
    for (let i = 0; i < left.length; i++) if (!Object.is(left[i], right[i])) return false;
    return true;
  }
  const keys = membersOf(a);
  if (keys.length !== membersOf(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && isDeepEqual(read(a, key), read(b, key), seen));
}

const read = (from: object, key: PropertyKey): unknown => (from as Record<PropertyKey, unknown>)[key];

function membersOf(value: object): PropertyKey[] {
  const symbols = Object.getOwnPropertySymbols(value);
  return [...Object.keys(value), ...symbols.filter((each) => Object.prototype.propertyIsEnumerable.call(value, each))];
}
