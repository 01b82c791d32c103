/** Every metric of skein: its type, its unit in the name, its help and its labels. The reference page is made from this table. */

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram, in the unit of the name. */
  readonly buckets?: readonly number[];
}

const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** From a move to another path to the end of the grace. */
const RESUME_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60] as const;

export const METRICS = {
  skein_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels say what runs',
    labels: ['role', 'runtime'],
  },

  skein_hub_sidecars: { type: 'gauge', help: 'Sidecars connected to this hub', labels: [] },
  skein_hub_half_open_links: { type: 'gauge', help: 'Links whose handshake is not finished', labels: [] },
  skein_hub_waiting_links: { type: 'gauge', help: 'Requests for a link that wait until others are let in', labels: [] },
  skein_hub_links_total: { type: 'counter', help: 'Links accepted', labels: [] },
  skein_hub_links_refused_total: {
    type: 'counter',
    help: 'Links refused or ended before a sidecar was known, by reason',
    labels: ['reason'],
  },
  skein_hub_handshakes_total: {
    type: 'counter',
    help: 'Members and newcomers that have proven who they are, by what: signatures, or the ticket of an earlier handshake',
    labels: ['by'],
  },
  skein_hub_tickets_given_total: {
    type: 'counter',
    help: 'Tickets given, by which members that come back need no signatures',
    labels: [],
  },
  skein_hub_quota_crossed_total: {
    type: 'counter',
    help: 'Times an identity asked for more than its quota and was refused or slowed, by quota',
    labels: ['quota'],
  },
  skein_hub_tokens_created_total: { type: 'counter', help: 'Join tokens made', labels: [] },
  skein_hub_enrolments_total: {
    type: 'counter',
    help: 'Newcomers, by outcome (admitted, or why not)',
    labels: ['outcome'],
  },
  skein_hub_svids_issued_total: { type: 'counter', help: 'WIT-SVIDs issued', labels: [] },
  skein_hub_jwt_svids_issued_total: { type: 'counter', help: 'JWT-SVIDs (bearer tokens) issued', labels: [] },
  skein_hub_services: { type: 'gauge', help: 'Services in the catalogue', labels: [] },
  skein_hub_endpoints: { type: 'gauge', help: 'Endpoints in the catalogue', labels: ['healthy'] },
  skein_hub_policies: { type: 'gauge', help: 'Routes and policies in the catalogue', labels: ['kind'] },
  skein_hub_catalogue_epoch: { type: 'gauge', help: 'Number of this start of the hub', labels: [] },
  skein_hub_catalogue_revision: { type: 'gauge', help: 'Revision of the catalogue within its epoch', labels: [] },
  skein_hub_pushes_total: { type: 'counter', help: 'Catalogue messages sent to sidecars', labels: [] },
  skein_hub_resyncs_total: { type: 'counter', help: 'Sidecars that asked for the whole catalogue again', labels: [] },
  skein_hub_circuits: { type: 'gauge', help: 'Circuits joined now', labels: [] },
  skein_hub_circuits_total: {
    type: 'counter',
    help: 'Circuits asked for, by outcome (joined, or why not)',
    labels: ['outcome'],
  },
  skein_hub_relayed_bytes_total: { type: 'counter', help: 'Bytes of sealed records passed on', labels: [] },
  skein_hub_relayed_records_total: { type: 'counter', help: 'Sealed records passed on', labels: [] },
  skein_hub_relay_waiting_bytes: { type: 'gauge', help: 'Bytes of sealed records waiting here for credit', labels: [] },
  skein_hub_peers: { type: 'gauge', help: 'Other hubs that share the store and live', labels: [] },
  skein_hub_lease_age_seconds: {
    type: 'gauge',
    help: 'Time since the store brought back the last renewal of this hub; grows while the store is away. 0 when it is not shared',
    labels: [],
  },
  skein_hub_federated_bundle_age_seconds: {
    type: 'gauge',
    help: 'Time since the bundle endpoint of a federated trust domain has answered; since the start of the hub before the first answer',
    labels: ['domain'],
  },
  skein_hub_store_up: {
    type: 'gauge',
    help: 'Whether the store answers: 0 while a shared store is away, and the hub serves what it knew',
    labels: [],
  },
  skein_hub_store_queued_writes: { type: 'gauge', help: 'Registrations that wait to be stored', labels: [] },
  skein_hub_store_bytes: { type: 'gauge', help: 'Size of the store on disk', labels: [] },

  skein_links: {
    type: 'gauge',
    help: 'Links open now, by state; silent: the other end owes an answer',
    labels: ['state'],
  },
  skein_links_ended_total: {
    type: 'counter',
    help: 'Links that are over, by cause: closed by the other end, left by this one, cut without a word, silent or stalled for too long, or against the protocol',
    labels: ['cause'],
  },
  skein_link_sent_bytes_total: { type: 'counter', help: 'Bytes of link messages sent', labels: [] },
  skein_link_received_bytes_total: { type: 'counter', help: 'Bytes of link messages received', labels: [] },
  skein_link_sent_messages_total: { type: 'counter', help: 'Link messages sent', labels: [] },
  skein_link_received_messages_total: { type: 'counter', help: 'Link messages received', labels: [] },

  skein_quota_crossed_total: {
    type: 'counter',
    help: 'Times other members asked for more than they may have here and were refused, by quota',
    labels: ['quota'],
  },
  skein_sessions: { type: 'gauge', help: 'Sessions open now', labels: [] },
  skein_session_paths: {
    type: 'gauge',
    help: 'Sessions by what they travel on: relay, direct, none while they have no path, hub for those with a hub itself',
    labels: ['kind'],
  },
  skein_sessions_closed_total: {
    type: 'counter',
    help: 'Sessions that are over, by reason; session-lost are those that could not be resumed',
    labels: ['reason'],
  },
  skein_handshakes_failed_total: {
    type: 'counter',
    help: 'Handshakes that ended before the other end was known, by reason',
    labels: ['reason'],
  },
  skein_endpoints_refused_total: {
    type: 'counter',
    help: 'Times an instance was not used because its SVID does not say that it serves what the catalogue says',
    labels: [],
  },
  skein_session_resume_seconds: {
    type: 'histogram',
    help: 'Time without a path of sessions that were resumed',
    labels: [],
    buckets: RESUME_SECONDS,
  },
  skein_session_streams: { type: 'gauge', help: 'Streams open now', labels: [] },
  skein_session_records_sent_total: { type: 'counter', help: 'Records sealed and sent', labels: [] },
  skein_session_records_received_total: { type: 'counter', help: 'Records received and opened', labels: [] },
  skein_session_records_duplicate_total: {
    type: 'counter',
    help: 'Records received a second time and dropped',
    labels: [],
  },
  skein_session_records_forged_total: { type: 'counter', help: 'Records that were altered on the way', labels: [] },
  skein_session_records_reordered_total: {
    type: 'counter',
    help: 'Records that came behind a later one on the same path, as only someone in the middle brings about',
    labels: [],
  },
  skein_session_records_resent_total: { type: 'counter', help: 'Records sent once more, on another path', labels: [] },
  skein_session_resent_bytes_total: {
    type: 'counter',
    help: 'Bytes of records sent once more, on another path',
    labels: [],
  },
  skein_session_path_switches_total: { type: 'counter', help: 'Times a session moved to another path', labels: [] },
  skein_session_paths_distrusted_total: {
    type: 'counter',
    help: 'Paths given up because records on them were altered or swallowed',
    labels: [],
  },

  skein_hubs: {
    type: 'gauge',
    help: 'Hubs that this sidecar was given, by the state of its link to them (spare, waiting, dialling, connected, leaving)',
    labels: ['state'],
  },
  skein_revocations_refused_total: {
    type: 'counter',
    help: 'Lists of revocations that were not taken over from a hub, by cause: unsigned, forged (not signed by the issuer), fork (another one under a known number)',
    labels: ['cause'],
  },
  skein_audit_refused_total: {
    type: 'counter',
    help: 'Audit logs of hubs that were not followed, by cause: forged (head not signed by the issuer), rollback, fork (does not go on from what was seen), hidden (an entry about this identity is kept back), split (another member was shown another one)',
    labels: ['cause'],
  },
  skein_audit_entries: {
    type: 'gauge',
    help: 'Entries of the audit log that this sidecar has followed',
    labels: [],
  },
  skein_identity_issued_elsewhere_total: {
    type: 'counter',
    help: "SVIDs issued under the identity of this sidecar to keys that are neither its own nor, as far as the catalogue tells, a replica's",
    labels: [],
  },
  skein_hub_roles_missing: {
    type: 'gauge',
    help: '1 for each role that no connected hub plays for this sidecar (issuer, catalogue, signal, relay)',
    labels: ['role'],
  },
  skein_hubs_beyond_roles_total: {
    type: 'counter',
    help: 'Times that a hub acted in a role that its SVID does not say, and was left',
    labels: [],
  },
  skein_unread_bytes: {
    type: 'gauge',
    help: 'Bytes held for applications that have not read them, over all sessions',
    labels: [],
  },
  skein_resend_bytes: { type: 'gauge', help: 'Bytes kept for sending again, over all sessions', labels: [] },
  skein_resend_limit_bytes: {
    type: 'gauge',
    help: 'Most that may be kept for sending again; above it sessions without a path are given up',
    labels: [],
  },

  skein_catalogue_applied_total: { type: 'counter', help: 'Catalogue steps applied by this sidecar', labels: [] },
  skein_catalogue_diverged_total: { type: 'counter', help: 'Catalogue steps that did not fit', labels: [] },
  skein_catalogue_resyncs_total: { type: 'counter', help: 'Times the whole catalogue was asked for again', labels: [] },
  skein_seals_refused_total: {
    type: 'counter',
    help: 'Policies, routes or seals that were not used, by cause: not signed by the issuer (forged), about something else (index), older than known (rollback), another one of the same revision (fork), or not what was sealed (unsealed)',
    labels: ['cause'],
  },
  skein_statements_withheld_total: {
    type: 'counter',
    help: 'Times the newest seal said that the issuer had revoked identities (revocations) or changed its keys (bundle) and no hub had told of it',
    labels: ['what'],
  },
  skein_bundles_refused_total: {
    type: 'counter',
    help: 'Lists of the keys of the issuer that a hub has shown and that were not used, by cause: not readable (malformed), not signed (unsigned), not by the issuer (forged), older than what has been known for 10 s (rollback), or another one of the same sequence (fork)',
    labels: ['cause'],
  },
  skein_bundle_valid_seconds: {
    type: 'gauge',
    help: 'Time until the keys of the issuer need a newer signature; below 0: no hub that issues was heard for a day',
    labels: [],
  },
  skein_seal_age_seconds: {
    type: 'gauge',
    help: 'Time since a hub has shown a fresh word of the issuer on what policies and routes there are; every 5 minutes there is one',
    labels: [],
  },
  skein_catalogue_revision: { type: 'gauge', help: 'Revision of the catalogue this sidecar holds', labels: [] },

  skein_workers: { type: 'gauge', help: 'Workers that are ready, of a sidecar of several processes', labels: [] },
  skein_worker_starts_total: {
    type: 'counter',
    help: 'Processes started for a worker, the first one and those that took its place',
    labels: ['worker'],
  },
  skein_requests_total: {
    type: 'counter',
    help: 'Requests, by direction, service, status class and reason of an answer made by the mesh',
    labels: ['direction', 'service', 'status', 'reason'],
  },
  skein_request_duration_seconds: {
    type: 'histogram',
    help: 'Time from the request head to the end of the answer',
    labels: ['direction', 'service'],
    buckets: LATENCY_SECONDS,
  },
  skein_requests_in_flight: { type: 'gauge', help: 'Requests being performed', labels: ['direction'] },
  skein_user_tokens_total: {
    type: 'counter',
    help: 'Tokens of end users that requests have brought to services which look for them: believed, or what was wrong',
    labels: ['service', 'outcome'],
  },
  skein_policy_denied_total: {
    type: 'counter',
    help: 'Streams that policies have denied here, by service and rule (default-deny: none allows them)',
    labels: ['service', 'rule'],
  },
  skein_policy_would_deny_total: {
    type: 'counter',
    help: 'Streams that were allowed and would be denied: by shadowDeny rules, by policies that audit, by default in a permissive mesh',
    labels: ['service', 'rule'],
  },
  skein_policy_would_allow_total: {
    type: 'counter',
    help: 'Streams that were denied because no rule allows them, and that a policy which audits would allow',
    labels: ['service', 'rule'],
  },
  skein_policy_permissive: {
    type: 'gauge',
    help: '1 while the mesh is permissive: what no rule decides is allowed',
    labels: [],
  },
  skein_ejections_total: {
    type: 'counter',
    help: 'Endpoints left alone because they failed, by service and cause (failures in a row, or success-rate)',
    labels: ['service', 'cause'],
  },
  skein_readmissions_total: {
    type: 'counter',
    help: 'Endpoints that a probe has shown to work again, by service',
    labels: ['service'],
  },
  skein_panic: {
    type: 'gauge',
    help: '1 while so few endpoints of the service are left that ejections are not looked at',
    labels: ['service'],
  },
  skein_spillover: {
    type: 'gauge',
    help: '1 while instances of the service that are near are so slow that others further away help them',
    labels: ['service'],
  },
  skein_retries_withheld_total: {
    type: 'counter',
    help: 'Attempts that a request would have allowed and that were not made, by service and reason (budget: the service fails too often; body-too-long: no more is kept of it)',
    labels: ['service', 'reason'],
  },
  skein_retries_total: { type: 'counter', help: 'Attempts after the first, by service', labels: ['service'] },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;

/** Names of the metrics of one type. */
export type MetricOf<T extends MetricDefinition['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never;
}[MetricName];

/** The labels of a metric, every one of them. */
export type LabelsOf<N extends MetricName> = Readonly<Record<(typeof METRICS)[N]['labels'][number], string>>;
