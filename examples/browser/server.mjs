/** What stands behind the page: a hub, a site with the page on it, and two services that nobody can dial, beside a sidecar. */
import { createHub, createSidecar } from 'skein';
import { startApi } from './api.mjs';
import { startSite } from './site.mjs';

/**
 * @param {object} [options]
 * @param {number} [options.port] of the site; 0: any that is free
 * @param {(hub: string) => string | Promise<string>} [options.hubForPages] what pages take for the hub, where they reach it by another name
 */
export async function startExample({ port = 0, hubForPages = (url) => url } = {}) {
  const site = await startSite(port);
  const hub = await createHub({ listen: { host: '127.0.0.1', port: 0 }, pageOrigins: [new URL(site.url).origin] });
  const tokenFor = async (options) => (await hub.createJoinToken(options)).text;

  const api = await startApi();
  const sidecar = await createSidecar({
    hub: hub.url,
    token: await tokenFor({ services: ['api', 'echo'] }),
    expose: [
      { service: 'api', target: api.http },
      { service: 'echo', target: api.tcp },
    ],
    listen: { http: '127.0.0.1:0' },
  });
  // The service calls the page as it calls any other service: through the proxy of its sidecar.
  api.useProxy(sidecar.addresses.http);

  site.joins({
    hub: await hubForPages(hub.url),
    // Whoever may see the page may be one of its instances. A site with users would look at their login here.
    createToken: () => tokenFor({ services: ['screen'], ttlMs: 60_000 }),
  });
  return {
    url: site.url,
    hub,
    async close() {
      await site.close();
      await sidecar.drain();
      await api.close();
      await hub.close();
    },
  };
}
