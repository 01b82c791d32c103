/** A folder of its own for a test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** It is gone when the test is over. */
export function folder(t: Pick<TestContext, 'after'>): string {
  const path = mkdtempSync(join(tmpdir(), 'skein-test-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
