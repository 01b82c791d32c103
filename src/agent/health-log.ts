/** What the router thinks of the endpoints it calls, for those who read logs: who is left alone, who is back, and when too few are left. */

import type { Emitter } from '../core/emitter.ts';
import type { Logger } from '../core/log.ts';
import type { RouterEvents } from '../router/events.ts';

export function logHealth(events: Emitter<RouterEvents>, log: Logger): void {
  events.on('ejected', ({ service, endpoint, cause }) => {
    log.log('warn', 'endpoint-ejected', { service, instance: endpoint.instance, cause });
  });
  events.on('readmitted', ({ service, endpoint }) => {
    log.log('info', 'endpoint-readmitted', { service, instance: endpoint.instance });
  });
  events.on('spillover', ({ service, isOn }) => log.log('info', isOn ? 'spillover' : 'spillover-over', { service }));
  events.on('doubtfulLocality', ({ service, endpoint: { instance, region, zone }, rttMs, elsewhereRttMs }) => {
    log.log('warn', 'locality-doubtful', { service, instance, region, zone, rttMs, elsewhereRttMs });
  });
  events.on('panic', ({ service, isOn }) => log.log('warn', isOn ? 'panic' : 'panic-over', { service }));
}
