/** The package in a browser: the neutral API bound to the platform of a page or a worker. */

import { RELAYED_PARTS } from './agent/all-parts.ts';
import { createMesh as createMeshOn, type Mesh, type MeshOptions } from './agent/mesh.ts';
import { SkeinError } from './core/errors.ts';
import { browserPlatform } from './runtime/browser/platform.ts';

export * from './index.ts';
export { browserPlatform };

/**
 * Joins the mesh as a page, or as a worker of one. With `data`, a name, key and identity are kept in IndexedDB under it, for all pages
 * of this origin: who comes back needs no new token. The key signs, and can be read out by nobody.
 * @throws SkeinError SKEIN_CONFIG where the page is not in a secure context (https: or localhost), SKEIN_TOKEN_INVALID,
 *   SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY, SKEIN_STORE
 * @example
 * const mesh = await createMesh({ hub: 'wss://hub.example.com', token, data: 'shop' });
 * const reply = await mesh.fetch('http://api.mesh/orders/7');
 * await mesh.serve('screen', () => new Response(document.title));
 */
export async function createMesh(options: MeshOptions): Promise<Mesh> {
  if (!isSecureContext) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot join mesh: the browser gives no keys to a page of http:', {
      details: { remedy: 'Serve the page by https:, or on localhost.' },
    });
  }
  return createMeshOn(browserPlatform(), options, RELAYED_PARTS);
}
