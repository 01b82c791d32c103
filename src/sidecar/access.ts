/** What agent and router tell of requests → access records. */

import type { Agent } from '../agent/agent.ts';
import type { Clock } from '../core/clock.ts';
import { getField, type RequestHead } from '../http/head.ts';
import type { AccessLog } from '../telemetry/access-log.ts';
import { parseTraceParent } from '../telemetry/traceparent.ts';

/** Tells `log` of every request that passes `agent`, when it is over. */
export function logAccess(agent: Agent, log: AccessLog, clock: Clock): void {
  const common = (head: RequestHead, durationMs: number) => {
    const traceId = parseTraceParent(getField(head.fields, 'traceparent') ?? '')?.traceId;
    return {
      atMs: Math.round(clock.epochMs() - durationMs),
      method: head.method,
      path: head.path,
      durationMs,
      ...(traceId === undefined ? {} : { traceId }),
    };
  };
  agent.inboundEvents.on('finished', (fact) => {
    const { head, caller, service, status, reason, rule, durationMs, requestBytes, responseBytes } = fact;
    log({
      ...common(head, durationMs),
      ...{ direction: 'inbound', caller: caller.uri, service, instance: agent.instance },
      ...{ status, reason, rule, requestBytes, responseBytes },
    });
  });
  agent.outboundEvents.on('finished', (fact) => {
    const { head, service, rule, endpoint, status, reason, attempts, durationMs, requestBytes, responseBytes } = fact;
    log({
      ...common(head, durationMs),
      ...{ direction: 'outbound', caller: agent.id.uri, service, instance: endpoint?.instance ?? '' },
      ...{ status, reason, ...(rule === '' ? {} : { rule }), attempts, requestBytes, responseBytes },
    });
  });
}
