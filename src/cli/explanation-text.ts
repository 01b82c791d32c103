/** An explanation for a person: what happens first, then why. */

import type { MemberExplanation } from '../agent/explain.ts';
import type { Verdict } from '../auth/authorizer.ts';
import { formatDuration } from '../core/duration.ts';
import type { ExplainedBackend, ExplainedHead, Outcome } from '../router/explanation.ts';
import { formatTable, type Painter, toPrintable } from './output.ts';

/** Of many matches those that come behind the chosen one say little. */
const MAX_MATCHES = 12;

export function formatExplanation(told: MemberExplanation, paint: Painter): string {
  const { request, outcome, backends, verdicts } = told;
  const at = backends.findIndex(({ isNext }) => isNext);
  const lines = [
    `${request.method} ${request.authority}${request.path}: ${toWords(outcome, verdicts[at])}${toShare(outcome, backends[at])}`,
    '',
    ...toFacts(told).map(([name, text]) => `${name.padEnd(9)} ${text}`),
  ];
  return [`${lines.map(toPrintable).join('\n')}\n`, ...toTables(told, paint)].join('\n');
}

/** Another request may meet another backend. */
function toShare({ kind }: Outcome, backend: ExplainedBackend | undefined): string {
  if (kind === 'answered' || backend === undefined || backend.share === 100) return '';
  return ` (this backend gets ${toPercent(backend.share)})`;
}

function toPercent(share: number): string {
  return `${Math.round(share * 10) / 10} %`;
}

function toWords(outcome: Outcome, verdict: Verdict | null | undefined): string {
  switch (outcome.kind) {
    case 'refused':
      return `${outcome.status} ${outcome.reason}. ${outcome.message}`;
    case 'answered':
      return `${outcome.status}, answered by ${outcome.by}`;
    case 'forwarded':
      if (verdict?.allow === false) return `403 authz at ${outcome.service}, by ${verdict.rule}`;
      return `goes to ${outcome.service}`;
  }
}

function toFacts(told: MemberExplanation): (readonly [string, string])[] {
  const { destination, caller, namespace, routes, rule, filters, times, retries, matches } = told;
  const used = routes.filter(({ unused }) => unused === undefined);
  const chosen = matches.find(({ isChosen }) => isChosen);
  const parent = used.find(({ route }) => rule?.startsWith(`${route} `) === true)?.parentRef;
  return [
    ['from', caller ?? `anybody in namespace ${namespace}`],
    ...(destination === undefined ? [] : [['service', `${destination.service}, port ${destination.port}`] as const]),
    ...(destination !== undefined && used.length === 0
      ? [['route', 'none: requests go to the service itself'] as const]
      : []),
    ...(rule === undefined ? [] : [['rule', `${rule}, attached to ${parent ?? 'it'}`] as const]),
    ...(rule === undefined || chosen === undefined ? [] : [['match', chosen.match] as const]),
    ...filters.map(({ type, summary }) => ['filter', `${type}: ${summary}`] as const),
    ...(times === undefined ? [] : [['time', toTimes(times)] as const]),
    ...(retries === undefined ? [] : [['retries', toRetries(retries)] as const]),
  ];
}

function toTimes({ requestMs, requestFrom, attemptMs }: NonNullable<MemberExplanation['times']>): string {
  const given =
    requestFrom === 'nobody'
      ? 'any'
      : `${formatDuration(Math.ceil(requestMs))} by ${requestFrom}${requestFrom === 'the default' ? ', until an answer begins' : ''}`;
  return attemptMs === 0 ? given : `${given}; each attempt ${formatDuration(attemptMs)}`;
}

function toRetries({ retries, codes, backoffMs, isRepeatable }: NonNullable<MemberExplanation['retries']>): string {
  return [
    `up to ${retries}`,
    ...(codes.length === 0 ? [] : [`also on ${codes.join(', ')}`]),
    ...(backoffMs === 0 ? [] : [`at least ${formatDuration(backoffMs)} apart`]),
    isRepeatable
      ? 'within the budget also when the application may have seen it'
      : 'only while the application has not seen it',
  ].join('; ');
}

function toTables({ backends, verdicts, matches, routes, request }: MemberExplanation, paint: Painter): string[] {
  const tables: string[] = [];
  if (backends.length > 0) {
    const rows = backends.flatMap((backend, i) => toBackendRows(backend, verdicts[i], request));
    tables.push(formatTable(['backend', 'weight', 'share', 'what happens', 'policy'], rows, paint));
  }
  const endpoints = backends.flatMap((backend) =>
    (backend.endpoints ?? []).map((each) => [
      backend.destination?.key ?? backend.label,
      each.instance,
      `${each.state}${each.isSuspect ? ', silent' : ''}${each.isEligible ? '' : ', not chosen now'}`,
      each.distance,
      `${Math.round(each.latencyMs * 10) / 10} ms`,
      `${Math.round(each.share * 100)} %`,
      String(each.pending),
      String(each.weight),
    ]),
  );
  if (endpoints.length > 0) {
    const titles = ['backend', 'instance', 'state', 'distance', 'latency', 'its distance gets', 'pending', 'weight'];
    tables.push(formatTable(titles, endpoints, paint));
  }
  const others = matches.filter(({ isChosen }) => !isChosen);
  if (others.length > 0) {
    const rows = others
      .slice(0, MAX_MATCHES)
      .map(({ rule, match, lost }) => [rule, match, lost ?? ''].map(toPrintable));
    const more = others.length - rows.length;
    tables.push(
      `${formatTable(['other rule', 'match', 'why not'], rows, paint)}${more > 0 ? `and ${more} more\n` : ''}`,
    );
  }
  const unused = routes.filter((each) => (each.unused ?? undefined) !== undefined);
  if (unused.length > 0) {
    const rows = unused.map(({ route, parentRef, unused: why }) => [route, parentRef, why ?? '']);
    tables.push(formatTable(['unused route', 'attached to', 'why'], rows, paint));
  }
  return tables;
}

function toBackendRows(
  backend: ExplainedBackend,
  verdict: Verdict | null | undefined,
  request: ExplainedHead,
): string[][] {
  const { label, destination, weight, share, isNext, filters, attemptFilters, sent, outcome, isPanicking, isBound } =
    backend;
  const first = [
    `${destination?.key ?? label}${isNext ? ' (next)' : ''}`,
    String(weight),
    toPercent(share),
    toPrintable(toWords(outcome, undefined)),
    toPolicy(backend, verdict),
  ];
  const notes = [
    ...filters.map(({ type, summary }) => `${type}: ${summary}`),
    ...attemptFilters.map(({ type, summary }) => `each attempt, ${type}: ${summary}`),
    ...(sent === undefined ? [] : toChanges(request, sent)),
    ...(isBound ? ['led by its session, or the hash of a value'] : []),
    ...(isPanicking ? ['panic: too few instances are left, so that ejections are not looked at'] : []),
  ];
  return [first, ...notes.map((note) => ['', '', '', toPrintable(note), ''])];
}

function toPolicy({ sent }: ExplainedBackend, verdict: Verdict | null | undefined): string {
  if (sent === undefined) return '';
  if (verdict === undefined || verdict === null) return 'not known here';
  const shadow = verdict.shadow.length === 0 ? '' : `; would be denied by ${verdict.shadow.join(', ')}`;
  return `${verdict.allow ? 'allowed' : 'denied'} by ${verdict.rule}${shadow}`;
}

/** What of the request is another when it is sent. */
function toChanges(before: ExplainedHead, sent: ExplainedHead): string[] {
  const [had, has] = [toLines(before.fields), toLines(sent.fields)];
  return [
    ...(sent.path === before.path ? [] : [`path ${sent.path}`]),
    ...(sent.authority === before.authority ? [] : [`host ${sent.authority}`]),
    ...has.filter((line) => !had.includes(line)).map((line) => `+ ${line}`),
    ...had.filter((line) => !has.includes(line)).map((line) => `- ${line}`),
  ];
}

function toLines(fields: readonly string[]): string[] {
  return fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}`] : []));
}
