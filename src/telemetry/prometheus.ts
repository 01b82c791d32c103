/** Metrics as Prometheus text; the only door to prom-client. Values are read when somebody asks, from counters others keep. */

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type LabelsOf, METRICS, type MetricDefinition, type MetricName, type MetricOf } from './names.ts';

/** A value with the labels it belongs to. */
export type Reading<N extends MetricName> = readonly [labels: LabelsOf<N>, value: number];

export interface EventCounter<N extends MetricName> {
  add(labels: LabelsOf<N>, by?: number): void;
}

export interface EventHistogram<N extends MetricName> {
  observe(labels: LabelsOf<N>, value: number): void;
}

/** Label sets of one metric; what comes beyond is counted under `other`, so that names from outside cannot fill the memory. */
const MAX_SERIES = 2000;
const OTHER = 'other';

export class Metrics {
  readonly #registry = new Registry();
  readonly #made = new Set<MetricName>();

  /** Content type of `render`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  /** A gauge or counter without labels whose value is asked for at each scrape. */
  read(name: MetricOf<'counter' | 'gauge'>, value: () => number): void {
    this.readAll(name, () => [[{} as LabelsOf<typeof name>, value()]]);
  }

  /** The same with labels: all label sets that exist at the moment of the scrape. */
  readAll<N extends MetricOf<'counter' | 'gauge'>>(name: N, readings: () => Iterable<Reading<N>>): void {
    const definition = this.#define(name);
    const collect = (set: (labels: Record<string, string>, value: number) => void): void => {
      for (const [labels, value] of readings()) set(labels, value);
    };
    if (definition.type === 'counter') {
      const counter: Counter = new Counter({
        ...this.#configuration(name, definition),
        collect() {
          counter.reset();
          collect((labels, value) => counter.inc(labels, value));
        },
      });
    } else {
      const gauge: Gauge = new Gauge({
        ...this.#configuration(name, definition),
        collect() {
          gauge.reset();
          collect((labels, value) => gauge.set(labels, value));
        },
      });
    }
  }

  /** A counter of events as they happen. */
  counter<N extends MetricOf<'counter'>>(name: N): EventCounter<N> {
    const counter = new Counter(this.#configuration(name, this.#define(name)));
    const limit = createSeriesLimit();
    return { add: (labels, by = 1) => counter.inc(limit(labels), by) };
  }

  histogram<N extends MetricOf<'histogram'>>(name: N): EventHistogram<N> {
    const definition = this.#define(name);
    const histogram = new Histogram({
      ...this.#configuration(name, definition),
      buckets: [...(definition.buckets ?? [])],
    });
    const limit = createSeriesLimit();
    return { observe: (labels, value) => histogram.observe(limit(labels), value) };
  }

  #define(name: MetricName): MetricDefinition {
    if (this.#made.has(name)) throw new TypeError(`Cannot define metric "${name}": it exists`);
    this.#made.add(name);
    return METRICS[name];
  }

  #configuration(name: MetricName, { help, labels }: MetricDefinition) {
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
  }
}

function createSeriesLimit(): (labels: Readonly<Record<string, string>>) => Record<string, string> {
  const known = new Set<string>();
  return (labels) => {
    const key = JSON.stringify(labels);
    if (known.has(key)) return { ...labels };
    if (known.size >= MAX_SERIES) return Object.fromEntries(Object.keys(labels).map((name) => [name, OTHER]));
    known.add(key);
    return { ...labels };
  };
}
