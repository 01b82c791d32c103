/** Every error code in words: why it happens and what to do. The command line prints it, `docs/reference/errors.md` is made of it. */

import type { ErrorCode } from '../core/errors.ts';

export interface Explanation {
  /** The usual reasons. */
  readonly cause: string;
  /** What a person can do. */
  readonly fix: string;
}

export const EXPLANATIONS = {
  SKEIN_BAD_REQUEST: {
    cause: 'The request is malformed or ambiguous: framing, target, field names or sizes that strict HTTP/1.1 refuses.',
    fix: 'Send a well-formed request; the message names the rule that was broken.',
  },
  SKEIN_NOT_A_MESH_NAME: {
    cause: 'The destination is not name.mesh or name.namespace.mesh: a sidecar is no open proxy.',
    fix: 'Use the name of a mesh service, or take the sidecar out of the path to other destinations (NO_PROXY).',
  },
  SKEIN_DENIED: {
    cause: 'No AuthorizationPolicy at the callee allows this caller and this request, or one denies it.',
    fix: 'Read the rule in the message; list the policies with `skein get policies` and apply one that allows the caller.',
  },
  SKEIN_USER_TOKEN_INVALID: {
    cause:
      'The request brings a token of an end user that a RequestAuthentication of the service does not believe: of another issuer, for another audience, expired, changed, or more than one.',
    fix: 'Get a new token for an audience of the service; the log of its sidecar says what is wrong (`user-token-refused`). A request without any token goes on, and policies decide.',
  },
  SKEIN_NO_SUCH_SERVICE: {
    cause: 'No sidecar known to the hub exposes this service in this namespace.',
    fix: 'Check the name and namespace with `skein services`, and that the sidecar which exposes it is running.',
  },
  SKEIN_NO_ROUTE: {
    cause: 'Routes are attached to the service, and no rule of theirs takes this request.',
    fix: 'Add a rule for it, or a last one that takes every path; `skein get HTTPRoute` shows what there is.',
  },
  SKEIN_ROUTE_INVALID: {
    cause:
      'The rule that takes the request cannot be followed: it has no backend, its share went to one that does not exist (a wrong kind, name or port), or a filter is missing.',
    fix: 'Correct the rule; the message names it, and `skein services` what there is.',
  },
  SKEIN_MISDIRECTED: {
    cause: 'The request reached an instance that does not serve the service it was meant for.',
    fix: 'Try again: the catalogue was older than the instance. If it stays, check what the sidecar exposes.',
  },
  SKEIN_CANCELLED: {
    cause: 'The caller gave up before the answer was complete.',
    fix: 'Nothing, if the caller meant it; otherwise look for a timeout on its side.',
  },
  SKEIN_INTERNAL: {
    cause: 'A defect of skein itself.',
    fix: 'Report it with the log line and its cause; a retry may help.',
  },
  SKEIN_STREAM_RESET: {
    cause: 'The other end broke this one stream off, usually because its application closed the connection.',
    fix: "Read the application's log at the callee; the request may have been processed.",
  },
  SKEIN_SESSION_LOST: {
    cause:
      'The encrypted session with the peer ended: its process stopped, or it was gone for longer than a session survives.',
    fix: 'Try again; check the peer with `skein services`. The request may have been processed.',
  },
  SKEIN_APP_UNREACHABLE: {
    cause: 'The sidecar of the callee could not connect to its application.',
    fix: 'Start the application, or correct the target of `--expose`.',
  },
  SKEIN_APP_PROTOCOL: {
    cause: 'The application answered with something that is not valid HTTP.',
    fix: 'Check that the target speaks the protocol it was exposed with (http://, h2c://, tcp://).',
  },
  SKEIN_NO_ENDPOINT: {
    cause: 'The service is known, but no healthy instance of it is connected.',
    fix: 'Check the health of its instances with `skein services`, and the log of their sidecars.',
  },
  SKEIN_PEER_UNREACHABLE: {
    cause: 'No path to the instance: the relay could not introduce it and no direct path stands.',
    fix: 'Check that both sidecars are connected to a hub that has the relay role.',
  },
  SKEIN_HUB_UNREACHABLE: {
    cause: 'Nothing answers at the address of the hub, or something between refuses WebSockets.',
    fix: 'Check the address (--hub), that the hub runs, and that outbound connections to it are allowed.',
  },
  SKEIN_ISSUER_UNREACHABLE: {
    cause:
      'A token of an end user cannot be verified: the sidecar of the service has no keys of its issuer, or only such as are more than an hour old.',
    fix: 'Let that sidecar reach the jwksUri, or the discovery document of the issuer; its log says why it cannot (`document-not-fetched`).',
  },
  SKEIN_REFUSED: {
    cause: 'The other end refused before doing any work, because it is busy or does not offer this.',
    fix: 'Try again after a moment.',
  },
  SKEIN_DRAINING: {
    cause: 'The instance is shutting down and takes no new requests.',
    fix: 'Try again; another instance answers, or the same one after its restart.',
  },
  SKEIN_OVERFLOW: {
    cause: 'As many requests or connections to this service as are allowed at once are under way from this sidecar.',
    fix: 'Find out why the service answers slowly, add instances, or send less at once.',
  },
  SKEIN_LIMIT: {
    cause: 'A limit was reached: connections, streams, sizes or rates. The message names it.',
    fix: 'Send less at once, or raise the limit where its owner configures it.',
  },
  SKEIN_RATE_LIMITED: {
    cause:
      'An instance of the service takes so many requests of each caller, or of all together, in a time; this was one more.',
    fix: 'Send less, or wait as long as Retry-After says; the owner of the service can raise the rate.',
  },
  SKEIN_RETRY_BUDGET: {
    cause:
      'The service fails so often that this request was not tried again: retries are a part of all requests, and no more.',
    fix: 'Look for the failure in the log of the service; the status of its last answer is in `x-skein-upstream-status`.',
  },
  SKEIN_DEADLINE: {
    cause: 'The answer did not come in time.',
    fix: 'Look for a slow callee, or allow more time. The request may have been processed.',
  },
  SKEIN_PROTOCOL: {
    cause: 'The peer sent bytes that the protocol does not allow: a defect, or another version.',
    fix: 'Run the same version at both ends; if it stays, report it.',
  },
  SKEIN_FLOW_CONTROL: {
    cause: 'The peer sent more than its window allowed.',
    fix: 'Run the same version at both ends; if it stays, report it.',
  },
  SKEIN_HANDSHAKE: {
    cause: 'The encrypted handshake did not complete: bytes were changed on the way, or the other end is not skein.',
    fix: 'Check that the address is that of a skein hub and that nothing in between rewrites WebSocket messages.',
  },
  SKEIN_IDENTITY: {
    cause: 'The peer could not prove to be who was expected: another trust domain, an expired or foreign SVID.',
    fix: 'Check that both belong to the same mesh and that their clocks are right; join again with a new token.',
  },
  SKEIN_REVOKED: {
    cause: 'An administrator has revoked the identity with `skein revoke`: its own, or that of the other end.',
    fix: 'Read why with `skein revoke --list`; `skein revoke --undo` takes it back, and a new join token lets in anew who was revoked with --rejoin.',
  },
  SKEIN_TOKEN_INVALID: {
    cause: 'The join token is malformed or was not issued by this hub.',
    fix: 'Copy it whole, and use it with the hub that made it; `skein token create` makes a new one.',
  },
  SKEIN_TOKEN_USED: {
    cause: 'A join token works once, and this one was used before.',
    fix: 'Make a new one with `skein token create`. A sidecar that keeps its `--data` folder needs none to restart.',
  },
  SKEIN_TOKEN_EXPIRED: {
    cause: 'The join token is older than its lifetime.',
    fix: 'Make a new one with `skein token create`, with a longer `--ttl` if need be.',
  },
  SKEIN_NAME_NOT_GRANTED: {
    cause: 'The identity may not serve this name: its join token did not hold it.',
    fix: 'Make a token that holds every exposed name: `skein token create --service api,web`, and join with a new `--data` folder.',
  },
  SKEIN_RESOURCE_INVALID: {
    cause: 'A route, a policy or a request to the hub has entries that are not allowed; all of it was refused.',
    fix: 'Correct what the message names; nothing was changed.',
  },
  SKEIN_CONFLICT: {
    cause: 'The resource was changed by someone else in the meantime.',
    fix: 'Read it again, repeat the change, and apply it.',
  },
  SKEIN_CONFIG: {
    cause: 'An option, environment variable or entry of the configuration file is missing or malformed.',
    fix: 'Correct the named option; `--help` of the command shows its form.',
  },
  SKEIN_STORE: {
    cause: 'A file could not be read or written: the disk, its permissions, or a damaged store.',
    fix: 'Check space and permissions of the data folder; only one process may use it at a time.',
  },
} as const satisfies Record<ErrorCode, Explanation>;
