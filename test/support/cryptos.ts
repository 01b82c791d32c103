/** Every `Crypto` there is: what holds for one holds for all. */
import type { Crypto } from '../../src/core/platform.ts';
import { browserCrypto } from '../../src/runtime/browser/crypto.ts';
import { nodeCrypto } from '../../src/runtime/node-compat/crypto.ts';

export const CRYPTOS: readonly { readonly by: string; readonly crypto: Crypto }[] = [
  { by: 'node:crypto', crypto: nodeCrypto },
  { by: 'noble', crypto: browserCrypto },
];
