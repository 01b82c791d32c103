/** `skein audit`: follows the log of what was issued and changed, and shows it; or what was issued under a sidecar's own identity. */

import type { AuditEntry } from '../../auth/audit-chain.ts';
import { tryParseDuration } from '../../core/duration.ts';
import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openAdmin, openSidecar } from '../admin.ts';
import { asRecord, toRecords } from '../admin-client.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatJson, formatTable, outputOption, toPrintable } from '../output.ts';

export const audit: CommandSpec = {
  name: 'audit',
  summary: 'follow the log of what was issued and changed from its first entry to its last, and show it',
  description:
    'Each entry is bound to all before it, and the issuer has signed the last. It fails, and names the first bad entry, where one was altered, taken away, added or moved. Note the head that it prints and give it as --head another time: then nobody can have made a new log meanwhile.',
  options: [
    { flags: '--id <id>', description: 'only entries about this SPIFFE id', env: false },
    { flags: '--since <time>', description: 'only entries of this time, such as 24h', env: false },
    { flags: '--head <hash>', description: 'a head that was noted before, which the log must go on from', env: false },
    {
      flags: '--mine <address>',
      description: 'what was issued under the identity of the sidecar with this admin address, as it has followed it',
      env: false,
    },
    outputOption(['table', 'json']),
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein audit', 'everything that is kept'],
    ['skein audit --id spiffe://skein.mesh/ns/shop/sa/api --since 24h', 'who was let in as this service'],
    ['skein audit --mine 127.0.0.1:9901', 'which keys have an SVID under the identity of this sidecar'],
  ],
  async run(context) {
    const { input, platform } = context;
    const sidecar = input.text('mine');
    const since = input.text('since');
    const sinceMs = since === undefined ? undefined : tryParseDuration(since);
    if (since !== undefined && sinceMs === undefined) {
      throw new SkeinError('SKEIN_CONFIG', `Cannot use --since "${since}": expected a duration such as 24h`);
    }
    const wanted = {
      id: input.text('id'),
      sinceMs: sinceMs === undefined ? 0 : platform.clock.epochMs() - sinceMs,
    };
    if (sidecar !== undefined) {
      const admin = await openSidecar(context, sidecar);
      const entries = toRecords(asRecord(await admin.get('/v1/audit')).entries) as unknown as readonly AuditEntry[];
      await print(
        context,
        entries.filter((entry) => isOfInterest(entry, wanted)),
        {},
      );
      return EXIT.done;
    }
    const { readAuditLog } = await import('../audit-log.ts');
    const { base, entries, head, broken } = await readAuditLog(
      await openAdmin(context),
      platform.crypto.sha256,
      input.text('head'),
    );
    const shown = entries.filter((entry) => isOfInterest(entry, wanted));
    await print(context, shown, { base, head, broken: broken ?? null });
    if (broken === undefined) return EXIT.done;
    throw new SkeinError('SKEIN_STORE', `Cannot believe audit log: ${broken}`, {
      details: {
        remedy:
          'Somebody has written to the store of the hub, or has the key of the issuer. Ask sidecars what they have seen: skein status --sidecar ADDRESS.',
      },
    });
  },
};

interface Wanted {
  readonly id: string | undefined;
  readonly sinceMs: number;
}

/** The end of a stretch says nothing to people. */
function isOfInterest({ kind, id, atMs }: AuditEntry, wanted: Wanted): boolean {
  return kind !== 'stretch' && (wanted.id === undefined || id === wanted.id) && atMs >= wanted.sinceMs;
}

async function print(context: CommandContext, entries: readonly AuditEntry[], about: object): Promise<void> {
  if (context.input.text('output') === 'json') return context.print(formatJson({ ...about, entries }));
  const rows = entries.map(({ seq, atMs, kind, id, key, by, what }) => [
    String(seq),
    new Date(atMs).toISOString(),
    String(kind),
    String(id),
    String(key ?? ''),
    String(by),
    String(what ?? ''),
  ]);
  await context.print(formatTable(['entry', 'at', 'kind', 'identity', 'key', 'by', 'what'], rows, context.paint));
  const { head } = about as { head?: { seq: number; hash: string } };
  if (head !== undefined) await context.print(`\nhead ${head.seq} ${toPrintable(head.hash)}\n`);
}
