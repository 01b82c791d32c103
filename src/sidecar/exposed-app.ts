/** One exposed service: the application behind it, its health, and what the mesh is told of both. */

import type { Agent } from '../agent/agent.ts';
import type { ServiceHandle, ServiceTarget } from '../agent/services.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { AppPool } from './app.ts';
import { H2App } from './h2-app.ts';
import type { Exposed } from './options.ts';
import { Prober } from './probe.ts';
import { RawApp } from './raw-app.ts';

export interface ExposedAppOptions {
  readonly platform: Platform;
  readonly connectTcp: NonNullable<Platform['connectTcp']>;
  readonly exposed: Exposed;
  readonly log: Logger;
}

export class ExposedApp {
  readonly exposed: Exposed;
  readonly #target: ServiceTarget;
  readonly #app: { readonly size: number; close?(): void };
  readonly #prober: Prober;
  #handle: ServiceHandle | undefined;

  constructor({ platform, connectTcp, exposed, log }: ExposedAppOptions) {
    const { service, port, target, health } = exposed;
    const { clock, decodeLatin1 } = platform;
    this.exposed = exposed;
    if (target.protocol === 'tcp') {
      const app = new RawApp({ connectTcp, target });
      this.#app = app;
      this.#target = { protocol: 'tcp', accept: (stream) => app.accept(stream) };
    } else {
      const options = { connectTcp, target, clock, decodeLatin1 };
      const app = target.protocol === 'h2c' ? new H2App(options) : new AppPool(options);
      this.#app = app;
      this.#target = { protocol: target.protocol, handler: app };
    }
    this.#prober = new Prober({
      ...{ connectTcp, clock, decodeLatin1, target },
      ...health,
      onChange: (isHealthy, reason) => {
        log.log(isHealthy ? 'info' : 'warn', isHealthy ? 'app-healthy' : 'app-unhealthy', {
          service: `${service}:${port}`,
          target: `${target.host}:${target.port}`,
          reason,
        });
        this.#handle?.setHealthy(isHealthy);
      },
    });
  }

  get isHealthy(): boolean {
    return this.#prober.isHealthy;
  }

  /** Connections to the application, busy and idle. */
  get connections(): number {
    return this.#app.size;
  }

  /** Looks how the application is, and serves it. @throws SkeinError SKEIN_CONFIG when the service is served already */
  async start(agent: Agent): Promise<void> {
    await this.#prober.start();
    const { service, port, labels } = this.exposed;
    this.#handle = agent.serve({ service, port, labels, target: this.#target }, this.#prober.isHealthy);
  }

  /** The application is asked no more whether it is well. */
  stopProbing(): void {
    this.#prober.stop();
  }

  close(): void {
    this.#prober.stop();
    this.#app.close?.();
  }
}
