/** Who there is in the interop matrix, and what the tests of its pairs are called. */

export const PARTIES = ['Node', 'Bun', 'Deno', 'workerd', 'Chromium'] as const;

export type PartyName = (typeof PARTIES)[number];

/** Every caller with every callee. */
export const PAIRS: readonly (readonly [caller: PartyName, callee: PartyName])[] = PARTIES.flatMap((caller) =>
  PARTIES.map((callee) => [caller, callee] as const),
);

/** Who can be the hub between them. The pairs are tried one by one through the first, all at once through each other one. */
export const HUBS = ['Node', 'Bun', 'Deno', 'workerd'] as const satisfies readonly PartyName[];

export type HubName = (typeof HUBS)[number];

export const TABLE_TITLE = 'The table in docs/edge.md is what came of it';

export function titleOf(caller: PartyName, callee: PartyName): string {
  return `${caller} calls ${callee}`;
}

export function hubTitleOf(hub: HubName): string {
  return `Every pair through a hub on ${hub}`;
}

/** What cannot be tried where some of them are missing. */
export function titlesWith(...missing: readonly PartyName[]): string[] {
  const pairs = PAIRS.filter((pair) => pair.some((each) => missing.includes(each)));
  const hubs = HUBS.slice(1).filter((hub) => missing.includes(hub));
  return [...pairs.map(([caller, callee]) => titleOf(caller, callee)), ...hubs.map(hubTitleOf), TABLE_TITLE];
}
