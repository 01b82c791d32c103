/** An OpenID provider on a real socket: publishes what one publishes, signs what it is told to, and can be made to lie. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { encodeUtf8 } from '../../src/core/bytes.ts';

export type Claims = Readonly<Record<string, unknown>>;

interface Key {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: Claims;
}

const DISCOVERY = '/.well-known/openid-configuration';
const KEYS = '/keys';

export class OidcIssuer {
  readonly url: string;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** Members of the discovery document that are not as they should be. */
  discovery: Claims = {};
  /** Answers in place of the documents. */
  answer: ((path: string, response: ServerResponse) => boolean) | undefined;
  keys: Key[] = [];
  readonly #server: Server;

  private constructor(server: Server, origin: string) {
    this.#server = server;
    this.url = `${origin}:${(server.address() as AddressInfo).port}`;
  }

  /** @param tls PEM of its key and of its certificate, which is for `localhost` */
  static async start(
    t: Pick<TestContext, 'after'>,
    alg = 'ES256',
    tls?: { readonly key: string; readonly cert: string },
  ): Promise<OidcIssuer> {
    let issuer: OidcIssuer | undefined;
    const listener: RequestListener = ({ url = '' }, response) => issuer?.answerTo(url, response);
    const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    issuer = new OidcIssuer(server, tls === undefined ? 'http://127.0.0.1' : 'https://localhost');
    t.after(() => issuer.stop());
    await issuer.addKey(alg);
    return issuer;
  }

  /** The newest signs. */
  async addKey(alg = 'ES256', kid = `key-${this.keys.length + 1}`): Promise<Key> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const key = { kid, alg, privateKey: privateKey as CryptoKey, jwk: { ...(await exportJWK(publicKey)), kid, alg } };
    this.keys.push({ ...key, jwk: { ...key.jwk, use: 'sig' } });
    return key;
  }

  /** Signed by the newest key; members that are undefined are left out. */
  async sign(claims: Claims, header: Claims = {}, key = this.keys.at(-1) as Key): Promise<string> {
    const text = JSON.stringify({ iss: this.url, ...claims });
    const head = { alg: key.alg, kid: key.kid, ...header };
    return new CompactSign(encodeUtf8(text))
      .setProtectedHeader(JSON.parse(JSON.stringify(head)) as { alg: string })
      .sign(key.privateKey);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  private answerTo(path: string, response: ServerResponse): void {
    this.asked.push(path);
    if (this.answer?.(path, response)) return;
    const json = (body: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (path === DISCOVERY) json({ issuer: this.url, jwks_uri: `${this.url}${KEYS}`, ...this.discovery });
    else if (path === KEYS) json({ keys: this.keys.map(({ jwk }) => jwk) });
    else response.writeHead(404).end();
  }
}
