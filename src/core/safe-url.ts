/** Where documents may come from that others are trusted by. */

import { isLoopbackName } from './loopback.ts';

/** True for an absolute URL over TLS, or of this machine; nothing in it can be a secret. */
export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== '' || password !== '' || hash !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname));
}
