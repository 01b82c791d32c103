/** Durations as Gateway API writes them (GEP-2257): "1h30m", "500ms". */

const DURATION = /^(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}$/;
const PART = /([0-9]+)(h|ms|m|s)/g;

const UNITS = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

/** Milliseconds; parts add up, a unit may come twice. Undefined for anything else, such as `1`, `1d` or `1.5h`. */
export function tryParseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let ms = 0;
  for (const [, digits, unit] of text.matchAll(PART)) {
    ms += Number(digits) * (UNITS.find(([name]) => name === unit)?.[1] ?? 0);
  }
  return ms;
}

/** The canonical form: largest units first, none twice, `0s` for nothing. `ms` is a whole number from 0. */
export function formatDuration(ms: number): string {
  let text = '';
  let rest = ms;
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text === '' ? '0s' : text;
}
