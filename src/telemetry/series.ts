/** Numbers that requests add to: found once by their labels, then one addition each, and read when somebody asks. */

export class CounterSeries {
  value = 0;

  add(by = 1): void {
    this.value += by;
  }
}

export class HistogramSeries {
  /** Observations by bucket, not cumulative; the last is above all bounds. */
  readonly counts: number[];
  sum = 0;
  readonly #bounds: readonly number[];

  /** @param bounds upper bounds, rising */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at++;
    this.counts[at] = (this.counts[at] as number) + 1;
    this.sum += value;
  }
}

export type Labels = Readonly<Record<string, string>>;

/** Label sets of one metric; what comes beyond is counted under `other`, so that names from outside cannot fill the memory. */
export const MAX_SERIES = 2000;
const OTHER = 'other';

/** The series of one metric by their labels. */
export class SeriesTable<S> {
  readonly #create: () => S;
  readonly #series = new Map<string, { readonly labels: Labels; readonly series: S }>();

  constructor(create: () => S) {
    this.#create = create;
  }

  of(labels: Labels): S {
    const found = this.#series.get(toKey(labels));
    if (found !== undefined) return found.series;
    if (this.#series.size < MAX_SERIES) return this.#add(labels);
    const others = Object.fromEntries(Object.keys(labels).map((name) => [name, OTHER]));
    return this.#series.get(toKey(others))?.series ?? this.#add(others);
  }

  all(): Iterable<{ readonly labels: Labels; readonly series: S }> {
    return this.#series.values();
  }

  #add(labels: Labels): S {
    const series = this.#create();
    this.#series.set(toKey(labels), { labels: { ...labels }, series });
    return series;
  }
}

function toKey(labels: Labels): string {
  return JSON.stringify(labels);
}
