/** A Worker whose every request goes to one hub, which lives in a Durable Object. */

import { type HubEnv, HubObject } from 'skein/workerd';

export class Hub extends HubObject {}

interface Env extends HubEnv {
  readonly HUB: { getByName(name: string): { fetch(request: Request): Promise<Response> } };
}

export default {
  fetch: (request: Request, env: Env): Promise<Response> => env.HUB.getByName('hub').fetch(request),
};
