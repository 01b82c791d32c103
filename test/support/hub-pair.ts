/** Two hubs that share a store (NATS), with one issuer; each may be killed and started again. */
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TestMesh } from './mesh.ts';
import { NatsServer } from './nats.ts';

const PASSWORD = 'hunter2';

export class HubPair {
  readonly nats: NatsServer;
  readonly a: TestMesh;
  readonly b: TestMesh;

  private constructor(nats: NatsServer, a: TestMesh, b: TestMesh) {
    this.nats = nats;
    this.a = a;
    this.b = b;
  }

  static async start(): Promise<HubPair> {
    const nats = await NatsServer.start(`authorization { user: skein, password: ${PASSWORD} }`);
    const env = { SKEIN_STORE: storeUrl(nats) };
    let a: TestMesh | undefined;
    try {
      a = await TestMesh.start({ env });
      const { hubData } = a;
      const b = await TestMesh.start({ env, prepare: (data) => copyIssuer(hubData, data) });
      return new HubPair(nats, a, b);
    } catch (error) {
      await a?.close();
      await nats.remove();
      throw error;
    }
  }

  /** For `--hub` of a member of both. */
  get urls(): string {
    return `${this.a.hubUrl},${this.b.hubUrl}`;
  }

  /** For `SKEIN_STORE`. */
  get storeUrl(): string {
    return storeUrl(this.nats);
  }

  /** No log may hold it. */
  get password(): string {
    return PASSWORD;
  }

  /** The hub whose URL a path names. */
  at(url: string): TestMesh {
    const mesh = [this.a, this.b].find(({ hubUrl }) => hubUrl === url);
    if (mesh === undefined) throw new Error(`There is no hub at "${url}"`);
    return mesh;
  }

  async close(): Promise<void> {
    await this.b.close();
    await this.a.close();
    await this.nats.remove();
  }

  accidents(): string[] {
    return [...this.a.accidents(), ...this.b.accidents()];
  }
}

function storeUrl(nats: NatsServer): string {
  return `nats://skein:${PASSWORD}@${nats.address}`;
}

/** Hubs that share a store must be one issuer. */
function copyIssuer(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  copyFileSync(join(from, 'issuer.json'), join(to, 'issuer.json'));
  chmodSync(join(to, 'issuer.json'), 0o600);
}
