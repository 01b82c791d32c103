/** A hub in a Durable Object with room for two links. */

import worker from '../../../examples/cloudflare-hub/src/worker.ts';
import { type HubEnv, HubObject, type ObjectContext } from '../../../src/workerd.ts';

export class Hub extends HubObject {
  constructor(context: ObjectContext, env: HubEnv) {
    super(context, env, { limits: { maxLinks: 2 } });
  }
}

// biome-ignore lint/style/noDefaultExport: what a Worker is
export default worker;
