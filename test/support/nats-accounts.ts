/** Operator, account and users of a NATS server by JSON web tokens, as `nsc` makes them: the server's configuration, and files of credentials. */
import { nkeys } from '@nats-io/transport-node';
import { decodeUtf8, encodeUtf8, toBase64Url } from '../../src/core/bytes.ts';

type KeyPair = ReturnType<typeof nkeys.createOperator>;

const UNLIMITED = { subs: -1, data: -1, payload: -1 };
const ACCOUNT_LIMITS = {
  ...UNLIMITED,
  ...{ imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
  ...{ mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 },
};
const EVERYTHING = { pub: {}, sub: {} };
const ISSUED_AT_SECONDS = 1_700_000_000;

export class NatsAccounts {
  readonly #operator = nkeys.createOperator();
  readonly #account = nkeys.createAccount();

  /** Lines of a server's configuration by which it lets in users of this account and nobody else. */
  get config(): string {
    const system = nkeys.createAccount();
    const account = (key: KeyPair, name: string, limits: object): string =>
      sign(this.#operator, key, name, { type: 'account', limits, default_permissions: EVERYTHING });
    return [
      `operator: "${sign(this.#operator, this.#operator, 'test', { type: 'operator' })}"`,
      `system_account: ${system.getPublicKey()}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      `  ${system.getPublicKey()}: "${account(system, 'SYS', UNLIMITED)}"`,
      `  ${this.#account.getPublicKey()}: "${account(this.#account, 'SKEIN', ACCOUNT_LIMITS)}"`,
      '}',
    ].join('\n');
  }

  /** A user of the account. */
  createUser(): { readonly creds: string; readonly seed: string } {
    const user = nkeys.createUser();
    const seed = decodeUtf8(user.getSeed());
    const token = sign(this.#account, user, 'hub', { type: 'user', ...EVERYTHING, ...UNLIMITED });
    const parts = [
      ['NATS USER JWT', token],
      ['USER NKEY SEED', seed],
    ];
    const creds = parts.map(([name, text]) => `-----BEGIN ${name}-----\n${text}\n------END ${name}------\n`).join('\n');
    return { creds, seed };
  }
}

/** What `issuer` says of `subject`. */
function sign(issuer: KeyPair, subject: KeyPair, name: string, claims: object): string {
  const encode = (value: object): string => toBase64Url(encodeUtf8(JSON.stringify(value)));
  const [iss, sub] = [issuer.getPublicKey(), subject.getPublicKey()];
  const body = { jti: `${iss}/${name}`, iat: ISSUED_AT_SECONDS, iss, sub, name, nats: { ...claims, version: 2 } };
  const signed = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode(body)}`;
  return `${signed}.${toBase64Url(issuer.sign(encodeUtf8(signed)))}`;
}
