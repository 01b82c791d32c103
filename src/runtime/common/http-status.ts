/** What an HTTP answer in place of the WebSocket handshake means, in words for people. */

import type { Explanation } from './explanation.ts';

const EXPLANATIONS: Readonly<Record<number, Explanation>> = {
  400: {
    state: 'handshake refused (400)',
    remedy: 'Hub and sidecar may be of different versions, or a proxy strips headers.',
  },
  401: {
    state: 'authentication required (401)',
    remedy: 'Something before the hub asks for credentials; a hub never does here.',
  },
  403: { state: 'forbidden (403)', remedy: 'Something before the hub refuses this client; check its allow list.' },
  404: { state: 'nothing there (404)', remedy: 'Check the path of the URL: a hub answers at / and /skein.' },
  407: { state: 'proxy authentication required (407)', remedy: 'Put user and password into the proxy URL.' },
  426: { state: 'upgrade refused (426)', remedy: 'A proxy before the hub must pass on WebSocket upgrades.' },
  429: { state: 'too many requests (429)', remedy: 'Wait; the dial is tried again by itself.' },
  502: { state: 'bad gateway (502)', remedy: 'The proxy before the hub cannot reach it; check that the hub runs.' },
  503: {
    state: 'full, overloaded or starting (503)',
    remedy: 'Wait; the dial is tried again by itself. The log of a hub that is full says so.',
  },
  504: { state: 'gateway timeout (504)', remedy: 'The proxy before the hub cannot reach it; check that the hub runs.' },
};

export function explainHttpStatus(status: number): Explanation {
  const known = EXPLANATIONS[status];
  if (known !== undefined) return known;
  if (status >= 300 && status < 400) {
    return { state: `redirected (${status})`, remedy: 'Redirects are not followed; give the final URL.' };
  }
  return { state: `no WebSocket there (${status})`, remedy: 'Check that the URL leads to a skein hub.' };
}
