/** What a sidecar is asked to be: flags, else environment, else `skein.yaml`, all read into one form. */

import { resolve } from 'node:path';
import { checkKnownHub, type KnownHub } from '../auth/way-in.ts';
import { DEFAULT_NAMESPACE, isLabel } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress } from '../core/platform.ts';
import type { Redacted } from '../core/redacted.ts';
import { DEFAULT_TRUST_DOMAIN } from '../core/spiffe-id.ts';
import { parseHubUrl, parseListenAddress } from './address.ts';
import type { CommandContext } from './context.ts';
import { type ExposeSetting, parseExpose, parseTcpListen, type TcpListenSetting } from './expose.ts';
import { readSecret } from './secret.ts';
import { type DirectSettings, NO_FILE, readSidecarFile } from './sidecar-file.ts';
import { parseWorkers } from './workers.ts';

export interface SidecarSettings {
  /** WebSocket URLs; empty when nobody named one. */
  readonly hubs: readonly string[];
  readonly token: Redacted<string> | undefined;
  /** Whom to trust when the token does not say it. */
  readonly knownHub: KnownHub;
  readonly namespace: string;
  readonly region: string | undefined;
  readonly zone: string | undefined;
  /** Absolute path, or undefined. */
  readonly data: string | undefined;
  readonly expose: readonly ExposeSetting[];
  readonly listenHttp: ListenAddress | undefined;
  readonly listenDns: ListenAddress | undefined;
  readonly listenTcp: readonly TcpListenSetting[];
  readonly admin: ListenAddress | undefined;
  /** `false`: no direct paths. */
  readonly direct: DirectSettings | false;
  readonly workers: number;
}

/** @throws SkeinError SKEIN_CONFIG, for a file with every issue in it */
export async function readSidecarSettings(context: CommandContext): Promise<SidecarSettings> {
  const { input, process } = context;
  const declared = (name: string): boolean => input.has(name);
  const text = (name: string): string | undefined => (declared(name) ? input.text(name) : undefined);
  const list = (name: string): readonly string[] | undefined => (declared(name) ? input.list(name) : undefined);

  const config = text('config');
  const file = config === undefined ? NO_FILE : await readSidecarFile(context, config);
  const namespace = text('namespace') ?? file.namespace ?? DEFAULT_NAMESPACE;
  if (!isLabel(namespace)) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot use namespace "${namespace}": expected a DNS label in lower case`);
  }
  const knownHub: KnownHub = {
    thumbprints: list('hub-thumbprint') ?? file.hubThumbprints,
    trustDomain: text('trust-domain') ?? file.trustDomain ?? DEFAULT_TRUST_DOMAIN,
  };
  checkKnownHub(knownHub);
  const token = text('token');
  const data = text('data');
  const listenHttp = text('listen-http');
  const listenDns = text('listen-dns');
  const admin = text('admin');
  const workers = text('workers');
  const directListen = text('direct-listen');
  const isDirectOff = declared('no-direct') && input.flag('no-direct');
  return {
    hubs: list('hub')?.map(parseHubUrl) ?? file.hubs,
    token: token === undefined ? file.token : await readSecret(context, '--token', token),
    knownHub,
    namespace,
    region: text('region') ?? file.region,
    zone: text('zone') ?? file.zone,
    data: data === undefined ? file.data : resolve(process.workFolder, data),
    expose: list('expose')?.map((item) => parseExpose(item, namespace)) ?? file.expose(namespace),
    listenHttp: listenHttp === undefined ? file.listenHttp : parseListenAddress(listenHttp),
    listenDns: listenDns === undefined ? file.listenDns : parseListenAddress(listenDns),
    listenTcp: list('listen-tcp')?.map((item) => parseTcpListen(item, namespace)) ?? file.listenTcp(namespace),
    admin: admin === undefined ? file.admin : parseListenAddress(admin),
    direct:
      isDirectOff || file.direct === false
        ? false
        : {
            listen: directListen === undefined ? file.direct.listen : parseListenAddress(directListen),
            advertise: text('direct-advertise') ?? file.direct.advertise,
            network: text('direct-network') ?? file.direct.network,
          },
    workers: workers === undefined ? (file.workers ?? 1) : parseWorkers(workers, process.processors),
  };
}
