/** A hub whose issuer writes a second audit log, and shows that to whoever is chosen. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Authority } from '../../src/auth/authority.ts';
import { SILENT_LOGGER } from '../../src/core/log.ts';
import { answerAudit } from '../../src/hub/audit-answers.ts';
import { AuditLog } from '../../src/hub/audit-log.ts';
import { MemoryStore } from '../../src/hub/store/memory.ts';
import { folder } from './folder.ts';
import { VirtualMesh } from './virtual-mesh.ts';

/** The issuer of a hub, for who has stolen its key. */
export function stealIssuer(mesh: VirtualMesh, dataFolder: string): Promise<Authority> {
  const state = JSON.parse(readFileSync(join(dataFolder, 'issuer.json'), 'utf8'));
  return mesh.run(Authority.create({ trustDomain: 'skein.mesh', clock: mesh.clock, state }));
}

export async function startTwoFaced(t: TestContext, isFooled: (id: string) => boolean) {
  const dataFolder = folder(t);
  const mesh = new VirtualMesh(t);
  let second: AuditLog | undefined;
  await mesh.startHub({ dataFolder, limits: { auditPushMs: 1_000 } }, 7000, mesh.clock, {
    answerAudit: (audit, sha256, id, asked) =>
      answerAudit(isFooled(id) && second !== undefined ? second : audit, sha256, id, asked),
  });
  const { clock } = mesh;
  const authority = await stealIssuer(mesh, dataFolder);
  const log = new AuditLog({
    ...{ store: new MemoryStore(), clock, log: SILENT_LOGGER, sha256: mesh.platform.crypto.sha256, maxBytes: 1e8 },
    ...{ bundle: () => authority.bundle(), sign: (type, claims) => authority.sign(type, claims) },
  });
  /** Entries about `id`, at once, and the end of a stretch. */
  const write = async (count: number, id = ''): Promise<void> => {
    const entry = { kind: 'join', id, key: 'k'.repeat(43), by: 'join-token' } as const;
    await mesh.run(Promise.all(Array.from({ length: count }, () => log.append(entry))));
    await mesh.run(log.endStretch(0));
  };
  await write(3);
  second = log;
  return { mesh, write, log };
}
