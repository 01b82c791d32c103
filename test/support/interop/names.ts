/** Who there is in the interop matrix, and what the tests of its pairs are called. */

export const PARTIES = ['Node', 'Bun', 'Deno', 'workerd', 'Chromium'] as const;

export type PartyName = (typeof PARTIES)[number];

/** Every caller with every callee. */
export const PAIRS: readonly (readonly [caller: PartyName, callee: PartyName])[] = PARTIES.flatMap((caller) =>
  PARTIES.map((callee) => [caller, callee] as const),
);

export const TABLE_TITLE = 'The table in docs/edge.md is what came of it';

export function titleOf(caller: PartyName, callee: PartyName): string {
  return `${caller} calls ${callee}`;
}

/** What cannot be tried where some of them are missing. */
export function titlesWith(...missing: readonly PartyName[]): string[] {
  const pairs = PAIRS.filter((pair) => pair.some((each) => missing.includes(each)));
  return [...pairs.map(([caller, callee]) => titleOf(caller, callee)), TABLE_TITLE];
}
