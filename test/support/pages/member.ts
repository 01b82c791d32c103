/** What a test may tell a page to do: the package for browsers as `skein`, and a few deeds of more than one line. */
import * as skein from '../../../src/browser.ts';

/** How a promise ended, as JSON. */
async function outcomeOf(work: Promise<unknown>): Promise<object> {
  try {
    await work;
    return { outcome: 'done' };
  } catch (thrown) {
    const { name, code, details } = thrown as { name: string; code?: string; details?: object };
    return { outcome: 'refused', name, code, details };
  }
}

/** Opens a WebSocket as a member does, and tells how it ended. */
async function dialUntilClosed(url: string): Promise<{ readonly code: number; readonly reason: string }> {
  const pipe = await skein.browserPlatform().dialWebSocket(url);
  return new Promise((resolve) => {
    pipe.attach({
      onMessage: () => undefined,
      onProgress: () => undefined,
      onClose: (code, reason) => resolve({ code, reason }),
    });
  });
}

/** All that this origin keeps under a name, as any script of it can see it. */
function readDatabase(name: string): Promise<IDBObjectStore | undefined> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const database = request.result;
      if (database.objectStoreNames.length === 0) resolve(undefined);
      else resolve(database.transaction('records').objectStore('records'));
    };
  });
}

/** The names of all records, and how every try to read a private key ended. */
async function tryToSteal(name: string): Promise<object> {
  const store = await readDatabase(name);
  if (store === undefined) return { records: [] };
  const entries = await new Promise<{ key: string; value: { key?: { privateKey?: CryptoKey } } }[]>((resolve) => {
    const found: { key: string; value: object }[] = [];
    const request = store.openCursor();
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null) return resolve(found);
      found.push({ key: String(cursor.key), value: cursor.value });
      cursor.continue();
    };
  });
  const tries: string[] = [];
  for (const { value } of entries) {
    const key = value.key?.privateKey;
    if (key === undefined) continue;
    for (const format of ['jwk', 'pkcs8', 'raw'] as const) {
      tries.push(
        await crypto.subtle.exportKey(format as 'jwk', key).then(
          () => `${format}: read`,
          () => `${format}: refused`,
        ),
      );
    }
  }
  return { records: entries.map(({ key }) => key), tries };
}

Object.assign(globalThis, { skein, outcomeOf, dialUntilClosed, tryToSteal });
