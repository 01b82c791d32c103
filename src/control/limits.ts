/** Limits of the control protocol, each with the reason for its value. */

/** One message. Bigger things (a whole catalogue) are sent in parts. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** Nesting of one message: our deepest, a policy inside a push, needs 11. */
export const MAX_DEPTH = 16;
/** Values in one message, keys included; at 64 KiB an honest message has at most a few thousand. */
export const MAX_ITEMS = 16 * 1024;
/** Calls of one end that wait for their answers. */
export const MAX_PENDING_CALLS = 64;
/** Messages of one channel that are read before others have a turn: a window holds thousands of small ones. */
export const MAX_MESSAGES_IN_A_TURN = 16;
/** What may wait for a peer that does not read before the channel is given up. */
export const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** Parts of a push are filled up to here: room for the envelope remains. */
export const PART_BYTES = 48 * 1024;
/** Resources that a sidecar collects from the parts of one push before it gives the channel up. */
export const MAX_PUSH_RESOURCES = 200_000;
/** Revoked identities at once: they are one value in the store, and each member keeps them. */
export const MAX_REVOCATIONS = 1_000;
/** A call without an answer by then has failed. */
export const CALL_TIMEOUT_MS = 10_000;
