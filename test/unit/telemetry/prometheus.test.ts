/** Metrics: the table, the text, values read at scrape, and the limit of series. Access log lines. */

import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { createAccessLog } from '../../../src/telemetry/access-log.ts';
import { METRICS, type MetricDefinition } from '../../../src/telemetry/names.ts';
import { Metrics } from '../../../src/telemetry/prometheus.ts';

const TABLE: readonly [name: string, definition: MetricDefinition][] = Object.entries(METRICS);

test('Metric names follow the conventions of Prometheus', () => {
  for (const [name, { type, help, labels, buckets }] of TABLE) {
    match(name, /^skein_[a-z]+(?:_[a-z]+)*$/, name);
    equal(name.endsWith('_total'), type === 'counter', name);
    ok(help.length > 5 && !help.endsWith('.'), name);
    for (const label of labels) match(label, /^[a-z]+$/, name);
    equal(buckets !== undefined, type === 'histogram', name);
  }
});

test('Values are read when somebody asks', async () => {
  const metrics = new Metrics();
  let sidecars = 1;
  metrics.read('skein_hub_sidecars', () => sidecars);
  metrics.read('skein_hub_links_total', () => sidecars * 10);
  metrics.readAll('skein_hub_endpoints', () => [
    [{ healthy: 'true' }, sidecars],
    [{ healthy: 'false' }, 2],
  ]);
  match(await metrics.render(), /^skein_hub_sidecars 1$/m);
  sidecars = 5;
  const text = await metrics.render();
  for (const line of [
    'skein_hub_sidecars 5',
    'skein_hub_links_total 50',
    'skein_hub_endpoints{healthy="true"} 5',
    'skein_hub_endpoints{healthy="false"} 2',
    '# TYPE skein_hub_links_total counter',
  ])
    ok(text.split('\n').includes(line), line);
});

test('A counter without labels is there before anything has happened, one with labels is not', async () => {
  const metrics = new Metrics();
  metrics.counter('skein_hub_links_total');
  metrics.counter('skein_retries_total');
  const lines = (await metrics.render()).split('\n');
  ok(lines.includes('skein_hub_links_total 0'));
  ok(lines.includes('# TYPE skein_retries_total counter'));
  ok(!lines.some((line) => line.startsWith('skein_retries_total')));
});

test('Registries share nothing, and a metric is defined once', async () => {
  const one = new Metrics();
  const other = new Metrics();
  one.read('skein_hub_sidecars', () => 1);
  equal(await other.render(), '\n');
  throws(() => one.read('skein_hub_sidecars', () => 1), TypeError);
});

test('Events are counted and observed; hostile label values are escaped, and cannot be without end', async () => {
  const metrics = new Metrics();
  const retries = metrics.counter('skein_retries_total');
  const durations = metrics.histogram('skein_request_duration_seconds');
  retries.of({ service: 'a"b\n\\' }).add();
  for (let i = 0; i < 2500; i++) retries.of({ service: `s${i}` }).add();
  const served = durations.of({ direction: 'inbound', service: 'api.default' });
  for (const seconds of [0.003, 0.005, 0.2, 1e9]) served.observe(seconds);
  const text = await metrics.render();
  ok(text.includes('skein_retries_total{service="a\\"b\\n\\\\"} 1'));
  ok(text.includes('skein_retries_total{service="other"} 501'));
  equal(text.match(/^skein_retries_total\{/gm)?.length, 2001);
  ok(text.includes('skein_request_duration_seconds_bucket{le="0.005",direction="inbound",service="api.default"} 2'));
  ok(text.includes('skein_request_duration_seconds_bucket{le="+Inf",direction="inbound",service="api.default"} 4'));
  ok(text.includes('skein_request_duration_seconds_count{direction="inbound",service="api.default"} 4'));
  ok(text.includes('skein_request_duration_seconds_sum{direction="inbound",service="api.default"} 1000000000.208'));
  ok(text.includes('# TYPE skein_request_duration_seconds histogram'));
});

test('An access log line is one line of JSON without the query', () => {
  const lines: string[] = [];
  createAccessLog((line) => lines.push(line))({
    atMs: 1_700_000_000_000,
    direction: 'inbound',
    caller: 'spiffe://mesh.test/ns/default/sa/web',
    service: 'api.default',
    instance: 'i1',
    method: 'GET',
    path: '/a\n"b?token=secret',
    status: 200,
    reason: '',
    durationMs: 1.23456,
    requestBytes: 0,
    responseBytes: 5,
  });
  equal(lines.length, 1);
  equal(lines[0]?.indexOf('\n'), (lines[0]?.length ?? 0) - 1);
  deepEqual(JSON.parse(lines[0] ?? ''), {
    event: 'request',
    at: '2023-11-14T22:13:20.000Z',
    direction: 'inbound',
    caller: 'spiffe://mesh.test/ns/default/sa/web',
    service: 'api.default',
    instance: 'i1',
    method: 'GET',
    status: 200,
    reason: '',
    requestBytes: 0,
    responseBytes: 5,
    path: '/a\n"b',
    durationMs: 1.235,
  });
});
