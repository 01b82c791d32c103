/** What a member is told of the audit log: how it goes on, whom each entry is about as a hash, and those about itself in full. */

import { type AuditLink, type ChainedEntry, ownerOf, toLink } from '../auth/audit-chain.ts';
import type { Sha256 } from '../catalog/digest.ts';
import { measureMessage } from '../control/codec.ts';
import { PART_BYTES } from '../control/limits.ts';
import type { CallAnswer } from '../control/messages.ts';
import type { AuditLog } from './audit-log.ts';

/** Links of one answer: 80 bytes each. */
const MAX_LINKS = 256;

/** Every member asks for every entry. */
const links = new WeakMap<ChainedEntry, AuditLink>();

export async function answerAudit(
  audit: AuditLog,
  sha256: Sha256,
  id: string,
  after: number,
): Promise<CallAnswer<'audit'>> {
  const { base, checkpoint, entries, head } = await audit.recent(after, MAX_LINKS);
  const owner = ownerOf(sha256, id);
  const answer: CallAnswer<'audit'> = { base, checkpoint, head, links: [], own: [] };
  let bytes = 0;
  for (const entry of entries) {
    const link = linkOf(sha256, entry);
    const { hash: _hash, ...own } = entry;
    bytes += 2 * (link.owner.length + link.digest.length);
    if (link.owner === owner) bytes += measureMessage(own);
    if (bytes > PART_BYTES && answer.links.length > 0) break;
    answer.links.push([link.owner, link.digest]);
    if (link.owner === owner) answer.own.push(own);
  }
  return answer;
}

function linkOf(sha256: Sha256, entry: ChainedEntry): AuditLink {
  const known = links.get(entry);
  if (known !== undefined) return known;
  const link = toLink(sha256, entry);
  links.set(entry, link);
  return link;
}
