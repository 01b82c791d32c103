/** Status of a resource, in the words of Gateway API: conditions for each parent of a route, each target of a policy, or the whole. */

/** Who writes these conditions (`controllerName`). */
export const CONTROLLER_NAME = 'skein.dev/mesh';

export type ConditionType = 'Accepted' | 'ResolvedRefs' | 'PartiallyInvalid';

/** Every reason; `docs/routes.md` says what each means and what to do. */
export const CONDITION_REASONS = [
  // Accepted
  'Accepted',
  'NoMatchingParent',
  'NotAllowedByListeners',
  'Conflicted',
  'TargetNotFound',
  // Accepted, PartiallyInvalid
  'UnsupportedValue',
  // ResolvedRefs
  'ResolvedRefs',
  'BackendNotFound',
  'InvalidKind',
  'RefNotPermitted',
  'UnsupportedProtocol',
] as const;

export type ConditionReason = (typeof CONDITION_REASONS)[number];

export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False';
  readonly reason: ConditionReason;
  readonly message: string;
}

/** A condition as it is shown. */
export interface DatedCondition extends Condition {
  /** Generation of the resource that it is about. */
  readonly observedGeneration: number;
  /** RFC 3339: since when its status is what it is. */
  readonly lastTransitionTime: string;
}

/** What a set of conditions is about: one parent of a route, one target of a policy; undefined: the resource. */
export interface Subject<C = Condition> {
  readonly ref: object | undefined;
  readonly conditions: readonly C[];
}

export interface ParentStatus {
  readonly parentRef: object;
  readonly controllerName: string;
  readonly conditions: readonly DatedCondition[];
}

export interface AncestorStatus {
  readonly ancestorRef: object;
  readonly controllerName: string;
  readonly conditions: readonly DatedCondition[];
}

/** `parents` of a route, `ancestors` of a policy that is attached to something, `conditions` of everything else. */
export interface Status {
  readonly parents?: readonly ParentStatus[];
  readonly ancestors?: readonly AncestorStatus[];
  readonly conditions?: readonly DatedCondition[];
}

/** Is a condition as one would wish it? */
function isGood({ type, status }: Condition): boolean {
  return status === (type === 'PartiallyInvalid' ? 'False' : 'True');
}

/** In a few words: `Accepted`, or the reasons of what is not as it should be. */
export function summarizeStatus({ parents, ancestors, conditions = [] }: Status): string {
  const all = [...(parents ?? ancestors ?? []).flatMap((each) => each.conditions), ...conditions];
  if (all.length === 0) return parents === undefined ? '' : 'Unattached';
  const reasons = all.filter((condition) => !isGood(condition)).map(({ reason }) => reason);
  return reasons.length === 0 ? 'Accepted' : [...new Set(reasons)].join(', ');
}

export function accepted(message: string): Condition {
  return { type: 'Accepted', status: 'True', reason: 'Accepted', message };
}

export function refused(reason: ConditionReason, message: string): Condition {
  return { type: 'Accepted', status: 'False', reason, message };
}
