/** The options of commands that join the mesh. */

import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import { DEFAULT_TRUST_DOMAIN } from '../core/spiffe-id.ts';
import type { OptionSpec } from './input.ts';
import { WORKERS_OPTION } from './workers.ts';

export const HUB_OPTION: OptionSpec = {
  flags: '--hub <urls>',
  description: 'one or several hubs, wss://…',
  fallback: 'the hub last used',
  list: true,
  commas: true,
};

export const TOKEN_OPTION: OptionSpec = {
  flags: '--token <token>',
  description:
    'join token, or JWT of a platform that the hub trusts, or @file; once joined, --data is enough. Others can read flags: prefer @file or SKEIN_TOKEN',
};

/** Options of every command that joins the mesh. */
export const JOIN_OPTIONS: readonly OptionSpec[] = [
  HUB_OPTION,
  TOKEN_OPTION,
  {
    flags: '--hub-thumbprint <texts>',
    description: 'with the JWT of a platform: the hub to trust, as it tells in its log line hub-listening',
    list: true,
    commas: true,
  },
  {
    flags: '--trust-domain <name>',
    description: 'with the JWT of a platform: that of the hub',
    fallback: DEFAULT_TRUST_DOMAIN,
  },
  { flags: '--data <folder>', description: 'keeps key and identity, so that a restart needs no new token' },
  { flags: '-n, --namespace <name>', description: 'namespace of names that give none', fallback: DEFAULT_NAMESPACE },
];

/** Options of a sidecar, beside those for joining. */
export const SIDECAR_OPTIONS: readonly OptionSpec[] = [
  ...JOIN_OPTIONS,
  { flags: '--config <file>', description: 'a skein.yaml; flags and environment go before it' },
  {
    flags: '--expose <name=target>',
    description: 'offer an application to the mesh: api=http://127.0.0.1:3000, api:8080=http://…, db=tcp://…',
    list: true,
  },
  { flags: '--listen-http <address>', description: 'HTTP proxy for *.mesh names, such as 127.0.0.1:8080' },
  {
    flags: '--listen-tcp <name=address>',
    description: 'local port for a raw service: db=127.0.0.1:5432',
    list: true,
  },
  {
    flags: '--listen-dns <address>',
    description: 'DNS for *.mesh names, such as 127.0.0.1:5353; each service answers on a loopback address of its own',
  },
  {
    flags: '--direct-listen <address>',
    description: 'where peers may connect without a relay, such as 0.0.0.0:0; they show first who they are',
    fallback: 'any port of 127.0.0.1',
  },
  {
    flags: '--direct-advertise <address>',
    description: 'ip:port under which others reach that listener, behind a forwarded port',
  },
  {
    flags: '--direct-network <label>',
    description: 'private network of this sidecar: those with the same label try its private addresses',
  },
  { flags: '--no-direct', description: 'look for no paths around the relays' },
  WORKERS_OPTION,
  { flags: '--admin <address>', description: 'readiness and metrics of this sidecar', fallback: 'none' },
  { flags: '--region <name>', description: 'where this sidecar runs, for locality-aware choices' },
  { flags: '--zone <name>', description: 'where in the region' },
];
