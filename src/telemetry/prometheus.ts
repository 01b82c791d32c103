/** Metrics as Prometheus text; the only door to prom-client. Values are read when somebody asks, from counters others keep. */

import { Counter, Gauge, type Metric, Registry } from 'prom-client';
import { type LabelsOf, METRICS, type MetricDefinition, type MetricName, type MetricOf } from './names.ts';
import { CounterSeries, HistogramSeries, type Labels, SeriesTable } from './series.ts';

/** A value with the labels it belongs to. */
export type Reading<N extends MetricName> = readonly [labels: LabelsOf<N>, value: number];

/** A counter of events as they happen; who adds often keeps the series. */
export interface EventCounter<N extends MetricName> {
  of(labels: LabelsOf<N>): CounterSeries;
}

export interface EventHistogram<N extends MetricName> {
  of(labels: LabelsOf<N>): HistogramSeries;
}

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

  counter<N extends MetricOf<'counter'>>(name: N): EventCounter<N> {
    const table = new SeriesTable(() => new CounterSeries());
    this.readAll(name, function* () {
      for (const { labels, series } of table.all()) yield [labels as LabelsOf<N>, series.value];
    });
    return table;
  }

  histogram<N extends MetricOf<'histogram'>>(name: N): EventHistogram<N> {
    const { help, buckets = [] } = this.#define(name);
    const table = new SeriesTable(() => new HistogramSeries(buckets));
    const values = (): SampleValue[] =>
      [...table.all()].flatMap(({ labels, series }) => toSamples(name, labels, series, buckets));
    // prom-client's own histogram costs more for each request than the rest of the sidecar's bookkeeping together; a
    // registry takes whatever can be asked like a metric.
    const metric = { name, get: async () => ({ name, help, type: 'histogram', values: values() }) };
    this.#registry.registerMetric(metric as unknown as Metric);
    return table;
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

interface SampleValue {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

/** Cumulative buckets, sum and count, as the text format wants them. */
function toSamples(
  name: string,
  labels: Labels,
  { counts, sum }: HistogramSeries,
  bounds: readonly number[],
): SampleValue[] {
  let count = 0;
  const samples = counts.map((bucket, i) => {
    count += bucket;
    return { metricName: `${name}_bucket`, labels: { le: String(bounds[i] ?? '+Inf'), ...labels }, value: count };
  });
  return [
    ...samples,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
