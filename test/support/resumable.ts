/** A session that may have several paths, on virtual time: further links between its ends, and what a stranger says on one. */

import type { Bytes } from '../../src/core/bytes.ts';
import { fromHex } from '../../src/core/bytes.ts';
import type { SkeinError } from '../../src/core/errors.ts';
import type { MemoryLinkOptions } from '../../src/testing/memory-pipe.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../src/tunnel/circuit.ts';
import type { PathInfo, PathStatus } from '../../src/tunnel/path.ts';
import { RECORD_HEADER_BYTES, RECORD_PATH, readRecordType, writeRecordHeader } from '../../src/tunnel/record.ts';
import { createLinks, createSessions, type LinkPair, type SessionPair } from './tunnel.ts';

export interface ResumablePair extends SessionPair {
  /** A link between both, used for nothing yet; `a` is at the initiator's end. */
  addLink(options?: MemoryLinkOptions): LinkPair;
  /** `by` offers a new link as a path, and the other end takes what comes on it for one. */
  offer(by: 'initiator' | 'responder', info: PathInfo, options?: MemoryLinkOptions): LinkPair;
}

export async function createResumable(options: Parameters<typeof createSessions>[0] = {}): Promise<ResumablePair> {
  const resumable = { isResumable: true };
  const pair = await createSessions({
    ...options,
    initiator: { ...resumable, ...options.initiator },
    responder: { ...resumable, ...options.responder },
  });
  const limits = options.limits === undefined ? {} : { limits: options.limits };
  const addLink = (wire: MemoryLinkOptions = {}): LinkPair => createLinks({ ...limits, ...wire }, pair.clock);
  return {
    ...pair,
    addLink,
    offer: (by, info, wire) => {
      const links = addLink(wire);
      const [near, far] = by === 'initiator' ? [links.a, links.b] : [links.b, links.a];
      const callee = by === 'initiator' ? pair.responder : pair.initiator;
      onFirstRecord(far.control, (first) => callee.session.acceptPath(far.control, info, first));
      pair[by].session.offerPath(near.control, info);
      return links;
    },
  };
}

/** Waits for the first record on a circuit that somebody else has opened. */
export function onFirstRecord(circuit: Circuit, take: (first: Bytes) => void): void {
  circuit.attach({ onRecord: take, onWritable: () => undefined, onClose: () => undefined });
}

/** What comes on a circuit and how it ends, of whoever stands at its other end. */
export class Probe {
  readonly records: Bytes[] = [];
  error: SkeinError | undefined;

  constructor(circuit: Circuit) {
    circuit.attach({
      onRecord: (message) => {
        this.records.push(message.slice());
        circuit.consumed(message.length - LINK_HEADER_BYTES);
      },
      onWritable: () => undefined,
      onClose: (error) => {
        this.error = error;
      },
    });
  }

  get code(): string | undefined {
    return this.error?.code;
  }
}

/** Names of the paths in a state, in order of age. */
export function pathsOf(paths: readonly PathStatus[], state: PathStatus['state']): string[] {
  return paths.filter((path) => path.state === state).map(({ via }) => via);
}

/** An ATTACH without a valid MAC, as whoever knows the id of the session can make it. */
export function forgeAttach(sessionId: string, counter = 0): Bytes {
  const id = fromHex(sessionId);
  const at = LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
  const message = new Uint8Array(at + 1 + id.length + ATTACH_BODY.length + MAC_BYTES).fill(7);
  writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_PATH, 0, counter);
  message[at] = ATTACH;
  message.set(id, at + 1);
  message.set(ATTACH_BODY, at + 1 + id.length);
  return message;
}

export function isPathRecord(message: Bytes): boolean {
  return message.length > LINK_HEADER_BYTES && readRecordType(message, LINK_HEADER_BYTES) === RECORD_PATH;
}

const ATTACH = 1;
/** Flag TAKE_OVER, and a next expected sequence of 0. */
const ATTACH_BODY = [1, 0];
const MAC_BYTES = 16;
