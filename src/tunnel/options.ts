/** Limits and defaults of the tunnel, each with its reason; a number appears here and nowhere else. */

const KIB = 1024;
const MIB = 1024 * KIB;

export interface TunnelOptions {
  /** Largest link message, in bytes: a full record and its headers, with room for a larger one later. */
  readonly maxMessageBytes: number;
  /** Bytes on their way to the network above which a link builds no further message: more than a full record, so that one is built while another leaves, and little, so that an urgent frame waits behind at most this. */
  readonly maxOutstandingBytes: number;
  /** Window every circuit starts with; small, because a link may hold `maxCircuits`. */
  readonly initialCircuitWindowBytes: number;
  /** Window a circuit is given at once while the link is inside its budget. */
  readonly circuitWindowBytes: number;
  /** Most the window of a relayed circuit grows to on a long path; that of a session's circuit grows as the session's does. */
  readonly maxCircuitWindowBytes: number;
  /** Sum of the windows of relayed circuits above the initial ones, per link: what a relay may have to hold for one link. */
  readonly linkWindowBudgetBytes: number;
  readonly maxCircuits: number;
  /** Longest that credit is held back for company while the other end has too little of it for a full record, in milliseconds. */
  readonly creditDelayMs: number;
  /**
   * Bytes of whoever dials before it has proven who it is: a first window (what honest ones may send meanwhile) and what frames it. It
   * is what one unauthenticated socket can pin.
   */
  readonly maxStrangerBytes: number;
  /** Credit for records with which a dialler begins on circuit 0: with the handshake, framing and HELLO it stays below `maxStrangerBytes`. */
  readonly strangerWindowBytes: number;
  /** Time for the other end to say HELLO, in milliseconds. */
  readonly helloTimeoutMs: number;
  /** Time for the Noise handshake over a circuit, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /**
   * Silence after which a link is probed, less a chance part of up to a fifth, so that links that fell silent together are
   * not probed together: below the idle cut-offs of common middle boxes (30-100 s), and less than half of `deadAfterMs`.
   */
  readonly pingAfterMs: number;
  /**
   * The same of a link that has no circuit but its own, so that no stream waits: of its dialler less a chance fifth, of its acceptor a tenth
   * later, which asks only where the dialler has not. With `deadAfterMs` a death is found within 30 s.
   */
  readonly idlePingAfterMs: number;
  /** Silence after which it is probed where a record was sent that the peer should answer, above two round trips. */
  readonly answerAfterMs: number;
  /** Silence behind a probe after which another link should be made beside this one; raised for slow and unsteady round trips. */
  readonly silentAfterMs: number;
  /**
   * Silence that ends a link whose probe has left the socket: a death is found within 15 s (docs/decisions/0005). Of an idle link what lies
   * more than `pingAfterMs` before the probe does not count.
   */
  readonly deadAfterMs: number;
  /** Silence that ends a link in any case: one whose socket takes no bytes is congested until then (nats-server#7615). */
  readonly sendStallMs: number;

  /** Plaintext of one record: what one read of a socket brings (64 KiB) with its frames, else each read makes a small record as well. */
  readonly maxRecordBytes: number;
  /** Received bytes, and milliseconds, after which an ACK goes out on its own. */
  readonly ackEveryBytes: number;
  readonly ackDelayMs: number;
  /** Time for a missing record once a later one is there; on one path it can only have been altered. */
  readonly gapMs: number;
  /** Silence that makes a path suspect while something must come on it, above two round trips. */
  readonly pathPatienceMs: number;
  /** Time for a suspect path to answer its probe, at least two round trips, where another path has answered. */
  readonly pathDoubtMs: number;
  /** Silence that ends a path of a session that may have others, whatever its link says. */
  readonly pathSilenceMs: number;
  /** Wait for a further ACK that ends a path, even if the peer says other things: longer than a link may stall. */
  readonly ackLostMs: number;
  /** Time for the peer to answer on a circuit that it is the same session. */
  readonly attachTimeoutMs: number;
  /** Time a session without any path is kept, with all that was not acknowledged. */
  readonly resumeGraceMs: number;
  /** Ways one session may have at once. */
  readonly maxPaths: number;
  /** Path records of the peer, per second and at once: probes and their answers on all paths, also those that an outage held back. */
  readonly pathRecordsPerSecond: number;
  readonly pathRecordsBurst: number;
  /** Altered records of one session, within a minute, that end it: somebody on every path alters them. */
  readonly maxForgedRecords: number;
  /** Between two probes of a path, where there is more than one; and in the first rounds after a new one came. */
  readonly probeMs: number;
  readonly quickProbeMs: number;
  readonly quickProbes: number;
  /** Most that is waited for what is under way when records move to another path. */
  readonly fenceMs: number;
  /** Sealed records ahead of the next expected one that are kept, in bytes; links are ordered, so this is for migration. */
  readonly reorderBytes: number;
  /** Records sealed under one key: AES-GCM allows about 2^24.5 full TLS records (RFC 8446 §5.5), ours are 4 × larger. */
  readonly rekeyAfterRecords: number;
  readonly rekeyAfterMs: number;

  readonly streamWindowBytes: number;
  /** At most half of what a session's window grows to: the other half stays for other streams. */
  readonly maxStreamWindowBytes: number;
  /** At least 4 × the stream window: equal windows dead-lock (ztunnel#1538, linkerd2-proxy#400, hyper#4003). */
  readonly sessionWindowBytes: number;
  readonly maxSessionWindowBytes: number;
  /** Streams the peer may have opened and not seen finished. */
  readonly maxStreams: number;
  /** OPEN or HEADERS body; one frame, no continuation (CVE-2024-27316). */
  readonly maxHeadBytes: number;
  readonly maxInformationalHeads: number;
  /** Queued bytes of one stream above which `write` returns false. */
  readonly streamHighWaterBytes: number;
  /**
   * Resets by the peer before our answer, per second and at once (CVE-2023-44487): an outage brings those of all its streams together. Beyond,
   * the room of the stream comes back later.
   */
  readonly peerResetsPerSecond: number;
  readonly peerResetsBurst: number;
  /** Resets we must send because the peer erred, per minute (CVE-2025-8671). */
  readonly errorResetsPerMinute: number;
  /** Frames that carry no data and change nothing, per second and at once (CVE-2019-9512). */
  readonly idleFramesPerSecond: number;
  readonly idleFramesBurst: number;
  readonly pingsPerSecond: number;
  /** A stream with more than `slowReaderBytes` unread and no progress for this long is reset. */
  readonly slowReaderMs: number;
  /** The same while the process holds three quarters of what it may hold unread: a shorter sleep is honest where there is room. */
  readonly slowReaderTightMs: number;
  readonly slowReaderBytes: number;
  /** A raw stream without a byte in either direction for this long is reset. */
  readonly idleRawStreamMs: number;
}

export const TUNNEL_DEFAULTS: TunnelOptions = {
  maxMessageBytes: 128 * KIB,
  maxOutstandingBytes: 66 * KIB,
  initialCircuitWindowBytes: 65 * KIB,
  circuitWindowBytes: 256 * KIB,
  maxCircuitWindowBytes: 4 * MIB,
  linkWindowBudgetBytes: 8 * MIB,
  maxCircuits: 1024,
  creditDelayMs: 25,
  strangerWindowBytes: 48 * KIB,
  maxStrangerBytes: 64 * KIB,
  helloTimeoutMs: 2_000,
  handshakeTimeoutMs: 10_000,
  pingAfterMs: 6_000,
  idlePingAfterMs: 18_000,
  answerAfterMs: 1_000,
  silentAfterMs: 1_200,
  deadAfterMs: 14_000,
  sendStallMs: 20_000,

  maxRecordBytes: 64 * KIB + 512,
  ackEveryBytes: 64 * KIB,
  ackDelayMs: 25,
  gapMs: 2_000,
  pathPatienceMs: 1_000,
  pathDoubtMs: 500,
  pathSilenceMs: 20_000,
  ackLostMs: 45_000,
  attachTimeoutMs: 5_000,
  resumeGraceMs: 30_000,
  maxPaths: 4,
  pathRecordsPerSecond: 100,
  pathRecordsBurst: 400,
  maxForgedRecords: 3,
  probeMs: 5_000,
  quickProbeMs: 200,
  quickProbes: 6,
  fenceMs: 300,
  reorderBytes: 256 * KIB,
  rekeyAfterRecords: 1_000_000,
  rekeyAfterMs: 3_600_000,

  streamWindowBytes: 256 * KIB,
  maxStreamWindowBytes: 8 * MIB,
  sessionWindowBytes: 1 * MIB,
  maxSessionWindowBytes: 16 * MIB,
  maxStreams: 1_024,
  maxHeadBytes: 32 * KIB,
  maxInformationalHeads: 8,
  streamHighWaterBytes: 64 * KIB,
  peerResetsPerSecond: 200,
  peerResetsBurst: 2_048,
  errorResetsPerMinute: 20,
  idleFramesPerSecond: 200,
  idleFramesBurst: 1_000,
  pingsPerSecond: 10,
  slowReaderMs: 300_000,
  slowReaderTightMs: 60_000,
  slowReaderBytes: 64 * KIB,
  idleRawStreamMs: 3_600_000,
};

const NO_OPTIONS: Partial<TunnelOptions> = {};
/** Each link and each session asks: those of one owner share what it comes to. */
const known = new WeakMap<Partial<TunnelOptions>, TunnelOptions>();

/** The same object for the same one. @throws RangeError on a value that would break an invariant between two limits. */
export function resolveTunnelOptions(options: Partial<TunnelOptions> = NO_OPTIONS): TunnelOptions {
  let resolved = known.get(options);
  if (resolved === undefined) {
    resolved = resolve(options);
    known.set(options, resolved);
  }
  return resolved;
}

function resolve(options: Partial<TunnelOptions>): TunnelOptions {
  const resolved: TunnelOptions = { ...TUNNEL_DEFAULTS, ...options };
  for (const [name, value] of Object.entries(resolved)) {
    if (!Number.isSafeInteger(value) || value <= 0)
      throw new RangeError(`Cannot use tunnel option "${name}": not a positive integer`);
  }
  if (resolved.sessionWindowBytes < 4 * resolved.streamWindowBytes) {
    throw new RangeError('Cannot use tunnel option "sessionWindowBytes": it is less than 4 × "streamWindowBytes"');
  }
  if (resolved.maxSessionWindowBytes < 2 * resolved.maxStreamWindowBytes) {
    throw new RangeError(
      'Cannot use tunnel option "maxSessionWindowBytes": it is less than 2 × "maxStreamWindowBytes"',
    );
  }
  if (resolved.initialCircuitWindowBytes < resolved.maxRecordBytes + 64) {
    throw new RangeError('Cannot use tunnel option "initialCircuitWindowBytes": a full record does not fit');
  }
  return resolved;
}
