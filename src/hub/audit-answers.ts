/** What a member is told of the audit log: the stretches behind the last one that it knows, and what is in them about itself, in full. */

import { type AuditEntry, type ChainedEntry, ownerOf } from '../auth/audit-chain.ts';
import type { Sha256 } from '../catalog/digest.ts';
import { measureMessage } from '../control/codec.ts';
import { PART_BYTES } from '../control/limits.ts';
import type { CallAnswer, CallRequest } from '../control/messages.ts';
import type { AuditLog } from './audit-log.ts';

export async function answerAudit(
  audit: AuditLog,
  sha256: Sha256,
  id: string,
  { after, own: told = 0 }: CallRequest<'audit'>,
): Promise<CallAnswer<'audit'>> {
  const { base, checkpoint, stretches, entries, head } = await audit.follow(after);
  const owner = ownerOf(sha256, id);
  const answer: CallAnswer<'audit'> = { base, checkpoint, head, stretches: [], own: [] };
  let bytes = 0;
  for (const stretch of stretches) {
    const { seq, atMs, root = '' } = stretch.end;
    const proof = stretch.tree.prove(owner);
    const isOwn = proof.leaf === undefined;
    const own = isOwn
      ? (await audit.entriesOf(stretch, entries)).filter((entry) => entry.id === id && entry.seq > told)
      : [];
    const line = { seq, atMs, root, ...proof };
    bytes += measureMessage(line);
    for (const entry of own) {
      const plain = withoutHash(entry);
      bytes += measureMessage(plain);
      if (bytes > PART_BYTES && answer.own.length > 0) return answer;
      answer.own.push(plain);
    }
    if (bytes > PART_BYTES && answer.stretches.length > 0) return answer;
    answer.stretches.push(line);
  }
  return answer;
}

function withoutHash({ hash: _hash, ...entry }: ChainedEntry): AuditEntry {
  return entry;
}
