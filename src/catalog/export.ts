/**
 * Export: which services of its namespace routes of other namespaces may send requests to. In the words of Gateway API's
 * ReferenceGrant; without one, a reference across namespaces is refused.
 */

import * as v from 'valibot';
import { type Parsed, toIssues } from './issue.ts';
import { kindName, namespaceName, objectName, ROUTE_GROUP } from './meta.ts';
import type { Manifest } from './resource.ts';
import { namespaceOf } from './service.ts';

export const EXPORT = 'Export';
/** In `from[].namespace`: every namespace. */
export const ANY_NAMESPACE = '*';
const MAX_ENTRIES = 16;

const list = <T extends v.GenericSchema>(item: T) =>
  v.pipe(v.array(item), v.minLength(1, 'is empty'), v.maxLength(MAX_ENTRIES, `has more than ${MAX_ENTRIES} entries`));

const from = v.strictObject({
  group: v.optional(v.literal(ROUTE_GROUP, `is not "${ROUTE_GROUP}": only its routes refer to services`), ROUTE_GROUP),
  /** Silent: routes of every kind. */
  kind: v.optional(kindName),
  namespace: v.union([v.literal(ANY_NAMESPACE), namespaceName], 'is neither a namespace nor "*"'),
});

const to = v.strictObject({
  group: v.optional(v.literal('', 'is not "": only services can be exported'), ''),
  kind: v.optional(v.literal('Service', 'is not Service: nothing else can be exported'), 'Service'),
  /** Silent: every service of the namespace. */
  name: v.optional(objectName),
});

const spec = v.strictObject({ from: list(from), to: list(to) });

export interface Export {
  readonly name: string;
  readonly namespace: string;
  readonly spec: v.InferOutput<typeof spec>;
}

/** Every issue, or the export. `metadata` was checked by `parse.ts`. */
export function parseExport(manifest: Manifest): Parsed<Export> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  return { value: { name: manifest.metadata.name, namespace: manifest.metadata.namespace, spec: result.output } };
}

/** All exports that there are, for those who ask whether a reference is allowed. */
export class Exports {
  readonly #byNamespace: ReadonlyMap<string, readonly Export[]>;

  constructor(exports: Iterable<Export>) {
    const byNamespace = new Map<string, Export[]>();
    for (const each of exports) byNamespace.set(each.namespace, [...(byNamespace.get(each.namespace) ?? []), each]);
    this.#byNamespace = byNamespace;
  }

  /** May a route of this kind and namespace send requests to `service`? */
  permits(kind: string, namespace: string, service: string): boolean {
    const owner = namespaceOf(service);
    if (owner === namespace) return true;
    const name = service.slice(0, service.length - owner.length - 1);
    return (this.#byNamespace.get(owner) ?? []).some(
      (each) =>
        each.spec.from.some(
          (who) =>
            (who.kind === undefined || who.kind === kind) &&
            (who.namespace === ANY_NAMESPACE || who.namespace === namespace),
        ) && each.spec.to.some((what) => what.name === undefined || what.name === name),
    );
  }
}

export const NO_EXPORTS = new Exports([]);
