/** What a member is told of the audit log: how it goes on, whom each entry is about as a hash, and those about itself in full. */

import { type AuditEntry, type ChainedEntry, LINK_CHARS, ownerOf, toLink, writeLink } from '../auth/audit-chain.ts';
import type { Sha256 } from '../catalog/digest.ts';
import { measureMessage } from '../control/codec.ts';
import { PART_BYTES } from '../control/limits.ts';
import type { CallAnswer } from '../control/messages.ts';
import type { AuditLog } from './audit-log.ts';

/** Of one answer: about as many as have room. */
const MAX_LINKS = Math.floor(PART_BYTES / LINK_CHARS);

/** Every member asks for every entry. */
const links = new WeakMap<ChainedEntry, string>();

export async function answerAudit(
  audit: AuditLog,
  sha256: Sha256,
  id: string,
  after: number,
): Promise<CallAnswer<'audit'>> {
  const { base, checkpoint, entries, head } = await audit.recent(after, MAX_LINKS);
  const owner = ownerOf(sha256, id);
  const answer: CallAnswer<'audit'> = { base, checkpoint, head, links: '', own: [] };
  let bytes = 0;
  for (const entry of entries) {
    const link = linkOf(sha256, entry);
    bytes += LINK_CHARS;
    const own = link.startsWith(owner) ? withoutHash(entry) : undefined;
    if (own !== undefined) bytes += measureMessage(own);
    if (bytes > PART_BYTES && answer.links !== '') break;
    answer.links += link;
    if (own !== undefined) answer.own.push(own);
  }
  return answer;
}

function withoutHash({ hash: _hash, ...entry }: ChainedEntry): AuditEntry {
  return entry;
}

function linkOf(sha256: Sha256, entry: ChainedEntry): string {
  const known = links.get(entry);
  if (known !== undefined) return known;
  const link = writeLink(toLink(sha256, entry));
  links.set(entry, link);
  return link;
}
