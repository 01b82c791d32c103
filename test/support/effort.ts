/**
 * How much is left to chance: a search for what nobody thought of is made whole by `npm test`, where tests run compiled,
 * on one Node. From the sources another Node, Bun, Deno, workerd and pages show by a part of it that it is the same there.
 */
const IS_WHOLE = import.meta.url?.endsWith('.js') ?? false;
const PART = 20;

/** `whole`, or a twentieth of it, rounded up. */
export function effort(whole: number): number {
  return IS_WHOLE ? whole : Math.ceil(whole / PART);
}
