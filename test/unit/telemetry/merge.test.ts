/** Metrics of several processes as one text. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { mergeMetrics } from '../../../src/telemetry/merge.ts';
import { Metrics } from '../../../src/telemetry/prometheus.ts';

function tellOf(requests: number, workers?: number): Promise<string> {
  const metrics = new Metrics();
  const counter = metrics.counter('skein_requests_total');
  counter.of({ direction: 'inbound', service: 'a"}\\ b', status: '2xx', reason: '' }).add(requests);
  if (workers !== undefined) metrics.read('skein_workers', () => workers);
  return metrics.render();
}

test('Each sample says whose it is, and each family is told of once, whoever has it', async () => {
  const merged = mergeMetrics('worker', [
    ['0', await tellOf(3)],
    ['1', await tellOf(4, 7)],
  ]);
  const series = 'direction="inbound",service="a\\"}\\\\ b",status="2xx",reason=""';
  equal(
    merged,
    [
      '# HELP skein_requests_total Requests, by direction, service, status class and reason of an answer made by the mesh',
      '# TYPE skein_requests_total counter',
      `skein_requests_total{worker="0",${series}} 3`,
      `skein_requests_total{worker="1",${series}} 4`,
      '',
      '# HELP skein_workers Workers that are ready, of a sidecar of several processes',
      '# TYPE skein_workers gauge',
      'skein_workers{worker="1"} 7',
      '',
    ].join('\n'),
  );
});

test('No process, no text', () => {
  equal(mergeMetrics('worker', []), '');
});
