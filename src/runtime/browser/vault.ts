/** `Vault` in IndexedDB: what lies there is this origin's alone, and a CryptoKey that is not extractable stays so. */

import { SkeinError } from '../../core/errors.ts';
import type { FileLock, Vault } from '../../core/platform.ts';

const RECORDS = 'records';

/** @throws SkeinError SKEIN_STORE where the browser keeps nothing for this page */
export async function openVault(name: string): Promise<Vault> {
  const label = `skein/${name}`;
  const database = await open(label);
  return {
    read: (key) => run(database, 'readonly', (records) => records.get(key)),
    async write(entries) {
      await run(database, 'readwrite', (records) => {
        for (const [key, value] of Object.entries(entries)) {
          if (value === undefined) records.delete(key);
          else records.put(value, key);
        }
        return undefined;
      });
    },
    lock: () => claim(label),
  };
}

function open(label: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(label, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore(RECORDS);
    request.onsuccess = () => {
      const database = request.result;
      // A page that clears what the site has kept must not wait for this one.
      database.onversionchange = () => database.close();
      resolve(database);
    };
    request.onerror = () => reject(notKept(request.error));
  });
}

/** One transaction: it is done when it is durable, and undone when anything in it fails. */
function run<T>(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  act: (records: IDBObjectStore) => IDBRequest<T> | undefined,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    try {
      const transaction = database.transaction(RECORDS, mode, { durability: 'strict' });
      const request = act(transaction.objectStore(RECORDS));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(notKept(transaction.error));
    } catch (cause) {
      reject(notKept(cause));
    }
  });
}

/** Of all pages and workers of this origin one has it; a page that is closed gives it back. */
function claim(label: string): Promise<FileLock> {
  return new Promise((resolve, reject) => {
    const held = (): Promise<void> => new Promise((release) => resolve({ release: async () => release() }));
    navigator.locks.request(label, held).catch((cause) => reject(notKept(cause)));
  });
}

function notKept(cause: unknown): SkeinError {
  return new SkeinError('SKEIN_STORE', 'Cannot keep identity: the browser does not keep it', {
    cause,
    details: {
      remedy: 'Pages without storage (private windows, blocked site data) join without `data`, with a token each time.',
    },
  });
}
