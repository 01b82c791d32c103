/** What a hub counts → metrics. */

import { isEndpoint } from '../catalog/resource.ts';
import type { Metrics } from '../telemetry/prometheus.ts';
import type { Authentication } from './authentication.ts';
import type { Enrolment } from './enroll.ts';
import type { Federation } from './federation.ts';
import type { HalfOpen } from './half-open.ts';
import type { HubIssuer } from './issuer.ts';
import type { Leases } from './leases.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { Quotas } from './quotas.ts';
import type { Registrations } from './registrations.ts';
import type { Relay } from './relay.ts';
import type { Store } from './store.ts';

export interface HubMetricsOptions {
  readonly runtime: string;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly relay: Relay;
  readonly issuer: HubIssuer | undefined;
  readonly authentication: Authentication;
  readonly enrolment: Enrolment | undefined;
  readonly links: LinkCounts;
  readonly quotas: Quotas;
  readonly waiting: () => number;
  readonly federation: Federation;
  readonly leases: Leases;
  readonly registrations: Registrations;
  readonly store: Store;
  readonly storeBytes: () => number;
}

/** Written by the hub. */
export interface LinkCounts {
  accepted: number;
  readonly halfOpen: HalfOpen;
  readonly refused: Map<string, number>;
}

export function defineHubMetrics(metrics: Metrics, options: HubMetricsOptions): void {
  const { presence, publisher, relay, issuer, enrolment, links, leases, registrations } = options;
  metrics.readAll('skein_build_info', () => [[{ role: 'hub', runtime: options.runtime }, 1]]);
  metrics.read('skein_hub_sidecars', () => presence.size);
  metrics.read('skein_hub_half_open_links', () => links.halfOpen.size);
  metrics.read('skein_hub_waiting_links', options.waiting);
  metrics.read('skein_hub_links_total', () => links.accepted);
  metrics.readAll('skein_hub_links_refused_total', () => [...links.refused].map(([reason, n]) => [{ reason }, n]));
  metrics.readAll('skein_hub_handshakes_total', () => [
    [{ by: 'signatures' }, options.authentication.proven.signatures],
    [{ by: 'ticket' }, options.authentication.proven.ticket],
  ]);
  metrics.read('skein_hub_tickets_given_total', () => options.authentication.ticketsGiven);
  metrics.readAll('skein_hub_quota_crossed_total', () =>
    [...options.quotas.crossed].map(([quota, n]) => [{ quota }, n]),
  );
  metrics.read('skein_hub_tokens_created_total', () => enrolment?.stats.tokensCreated ?? 0);
  metrics.readAll('skein_hub_enrolments_total', () =>
    [...(enrolment?.stats.outcomes ?? [])].map(([outcome, n]) => [{ outcome }, n]),
  );
  metrics.read('skein_hub_svids_issued_total', () => issuer?.issued ?? 0);
  metrics.read('skein_hub_jwt_svids_issued_total', () => issuer?.issuedJwts ?? 0);
  metrics.read('skein_hub_services', () => [...publisher.snapshot.services()].length);
  metrics.readAll('skein_hub_endpoints', () => {
    const counts = { true: 0, false: 0 };
    for (const [, { resource }] of publisher.snapshot.entries()) {
      if (isEndpoint(resource)) counts[`${resource.healthy}`]++;
    }
    return [
      [{ healthy: 'true' }, counts.true],
      [{ healthy: 'false' }, counts.false],
    ];
  });
  metrics.readAll('skein_hub_policies', () => {
    const counts = new Map<string, number>();
    for (const { kind } of publisher.snapshot.allManifests()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return [...counts].map(([kind, n]) => [{ kind }, n]);
  });
  metrics.read('skein_hub_catalogue_epoch', () => publisher.snapshot.epoch);
  metrics.read('skein_hub_catalogue_revision', () => publisher.snapshot.revision);
  metrics.read('skein_hub_pushes_total', () => publisher.stats.pushes);
  metrics.read('skein_hub_resyncs_total', () => publisher.stats.resyncs);
  metrics.read('skein_hub_circuits', () => relay.totals.circuits);
  metrics.readAll('skein_hub_circuits_total', () => [...relay.totals.outcomes].map(([outcome, n]) => [{ outcome }, n]));
  metrics.read('skein_hub_relayed_bytes_total', () => relay.totals.bytes);
  metrics.read('skein_hub_relayed_records_total', () => relay.totals.records);
  metrics.read('skein_hub_relay_waiting_bytes', () => relay.totals.waitingBytes);
  metrics.read('skein_hub_peers', () => leases.others().length);
  metrics.read('skein_hub_lease_age_seconds', () =>
    leases.ageMs === Number.POSITIVE_INFINITY ? 0 : leases.ageMs / 1000,
  );
  metrics.readAll('skein_hub_federated_bundle_age_seconds', () =>
    [...options.federation.agesMs()].map(([domain, ms]) => [{ domain }, ms / 1000]),
  );
  metrics.read('skein_hub_store_queued_writes', () => registrations.queuedWrites);
  metrics.read('skein_hub_store_up', () => Number(options.store.isUp));
  metrics.read('skein_hub_store_bytes', options.storeBytes);
}
