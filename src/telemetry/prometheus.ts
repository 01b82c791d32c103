/**
 * Metrics as Prometheus text; the only door to prom-client, opened when somebody asks. Values are read then, from counters others keep.
 */

import type { Metric } from 'prom-client';
import { type LabelsOf, METRICS, type MetricDefinition, type MetricName, type MetricOf } from './names.ts';
import { CounterSeries, HistogramSeries, type Labels, SeriesTable } from './series.ts';

/** Content type of `Metrics.render`. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

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
  readonly #made = new Map<MetricName, () => SampleValue[]>();

  async render(): Promise<string> {
    // It is CommonJS: a bundle knows its exports by nothing but the default one.
    const { default: client } = await import('prom-client');
    const registry = new client.Registry();
    for (const [name, read] of this.#made) {
      const { help, type } = METRICS[name];
      // Metrics of prom-client itself cost more for each request than the rest of the sidecar's bookkeeping together; a registry
      // takes whatever can be asked like one.
      const metric = { name, get: async () => ({ name, help, type, values: read() }) };
      registry.registerMetric(metric as unknown as Metric);
    }
    return registry.metrics();
  }

  /** A gauge or counter without labels whose value is asked for at each scrape. */
  read(name: MetricOf<'counter' | 'gauge'>, value: () => number): void {
    this.readAll(name, () => [[{} as LabelsOf<typeof name>, value()]]);
  }

  /** The same with labels: all label sets that exist at the moment of the scrape. */
  readAll<N extends MetricOf<'counter' | 'gauge'>>(name: N, readings: () => Iterable<Reading<N>>): void {
    const { labels: names } = METRICS[name] as MetricDefinition;
    this.#define(name, () => {
      const values = Array.from(readings(), ([labels, value]) => ({ metricName: name, labels, value }));
      // What has no labels is there before it has happened.
      return values.length === 0 && names.length === 0 ? [{ metricName: name, labels: {}, value: 0 }] : values;
    });
  }

  counter<N extends MetricOf<'counter'>>(name: N): EventCounter<N> {
    const table = new SeriesTable(() => new CounterSeries());
    this.readAll(name, function* () {
      for (const { labels, series } of table.all()) yield [labels as LabelsOf<N>, series.value];
    });
    return table;
  }

  histogram<N extends MetricOf<'histogram'>>(name: N): EventHistogram<N> {
    const { buckets = [] } = METRICS[name] as MetricDefinition;
    const table = new SeriesTable(() => new HistogramSeries(buckets));
    this.#define(name, () =>
      [...table.all()].flatMap(({ labels, series }) => toSamples(name, labels, series, buckets)),
    );
    return table;
  }

  #define(name: MetricName, read: () => SampleValue[]): void {
    if (this.#made.has(name)) throw new TypeError(`Cannot define metric "${name}": it exists`);
    this.#made.set(name, read);
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
