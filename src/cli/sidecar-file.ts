/** `skein.yaml` of a sidecar, from text to settings: every value is read before any issue is told. */

import { basename, dirname, resolve } from 'node:path';
import { type AppProtocol, DECLARED_APP_PROTOCOLS, tryParseAppProtocol } from '../catalog/endpoint.ts';
import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import { decodeUtf8 } from '../core/bytes.ts';
import { tryParseDuration } from '../core/duration.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress } from '../core/platform.ts';
import type { Redacted } from '../core/redacted.ts';
import { parseHubUrl, parseListenAddress, parseServicePort, parseTarget } from './address.ts';
import type { SidecarFile } from './config.ts';
import { type ConfigIssue, configError } from './config-issue.ts';
import type { CommandContext } from './context.ts';
import type { ExposeSetting, TcpListenSetting } from './expose.ts';
import { requireFiles } from './profile.ts';
import { readSecret } from './secret.ts';
import { parseWorkers } from './workers.ts';

/** The file's part, read as far as it does not depend on flags. */
export interface FileSettings {
  readonly hubs: readonly string[];
  readonly token: Redacted<string> | undefined;
  readonly hubThumbprints: readonly string[];
  readonly trustDomain: string | undefined;
  readonly namespace: string | undefined;
  readonly region: string | undefined;
  readonly zone: string | undefined;
  readonly data: string | undefined;
  readonly listenHttp: ListenAddress | undefined;
  readonly listenDns: ListenAddress | undefined;
  readonly admin: ListenAddress | undefined;
  /** `false`: no direct paths. */
  readonly direct: DirectSettings | false;
  readonly workers: number | undefined;
  expose(namespace: string): readonly ExposeSetting[];
  listenTcp(namespace: string): readonly TcpListenSetting[];
}

/** How other members may reach this one without a relay. */
export interface DirectSettings {
  readonly listen: ListenAddress | undefined;
  readonly advertise: string | undefined;
  readonly network: string | undefined;
}

export const NO_FILE: FileSettings = {
  hubs: [],
  token: undefined,
  hubThumbprints: [],
  trustDomain: undefined,
  namespace: undefined,
  region: undefined,
  zone: undefined,
  data: undefined,
  expose: () => [],
  listenHttp: undefined,
  listenDns: undefined,
  listenTcp: () => [],
  admin: undefined,
  direct: { listen: undefined, advertise: undefined, network: undefined },
  workers: undefined,
};

/** @throws SkeinError SKEIN_CONFIG with every issue */
export async function readSidecarFile(context: CommandContext, path: string): Promise<FileSettings> {
  const { platform, process } = context;
  const absolute = resolve(process.workFolder, path);
  const name = basename(absolute);
  const content = await requireFiles(platform).read(absolute);
  if (content === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot read --config: no file "${absolute}"`);
  const { parseSidecarFile } = await import('./config.ts');
  const file = parseSidecarFile(name, decodeUtf8(content), process.env);
  const reader = new FileReader(name);
  const { workers } = file;
  const hubs = file.hub === undefined ? [] : [file.hub].flat();
  // Every place is read once now, so that one run shows every issue; namespaces are known later.
  const settings: FileSettings = {
    hubs: hubs.flatMap((hub, i) => reader.at(`hub[${i}]`, () => parseHubUrl(hub)) ?? []),
    token: file.token === undefined ? undefined : await readSecret(context, 'token', file.token),
    hubThumbprints: file.hubThumbprint === undefined ? [] : [file.hubThumbprint].flat(),
    trustDomain: file.trustDomain,
    namespace: file.namespace,
    region: file.region,
    zone: file.zone,
    data: file.data === undefined ? undefined : resolve(dirname(absolute), file.data),
    expose: (namespace) => toExpose(reader, file, namespace),
    listenHttp: reader.address('listen.http', file.listen?.http),
    listenDns: reader.address('listen.dns', file.listen?.dns),
    listenTcp: (namespace) => toListenTcp(reader, file, namespace),
    admin: reader.address('admin', file.admin),
    direct: file.direct?.enabled === false ? false : toDirect(reader, file),
    workers:
      workers === undefined ? undefined : reader.at('workers', () => parseWorkers(String(workers), process.processors)),
  };
  const namespace = file.namespace ?? DEFAULT_NAMESPACE;
  settings.expose(namespace);
  settings.listenTcp(namespace);
  reader.finish();
  return settings;
}

function toDirect(reader: FileReader, { direct }: SidecarFile): DirectSettings {
  return {
    listen: reader.address('direct.listen', direct?.listen),
    advertise: direct?.advertise,
    network: direct?.network,
  };
}

function toExpose(reader: FileReader, file: SidecarFile, namespace: string): ExposeSetting[] {
  return (file.expose ?? []).flatMap(({ service, port, target, appProtocol, labels, health }, i) => {
    const named = reader.at(`expose[${i}].service`, () => parseServicePort(service, namespace));
    const at = reader.at(`expose[${i}].target`, () => parseTarget(target));
    const protocol =
      appProtocol === undefined
        ? at?.protocol
        : reader.at(`expose[${i}].appProtocol`, () => parseAppProtocol(appProtocol));
    const interval = health?.interval;
    const intervalMs =
      interval === undefined ? undefined : reader.at(`expose[${i}].health.interval`, () => parseInterval(interval));
    if (named === undefined || at === undefined || protocol === undefined) return [];
    return {
      ...named,
      port: port ?? named.port,
      target: { ...at, protocol },
      labels: labels ?? {},
      health: health === undefined ? undefined : { path: health.path, intervalMs },
    };
  });
}

function toListenTcp(reader: FileReader, file: SidecarFile, namespace: string): TcpListenSetting[] {
  return (file.listen?.tcp ?? []).flatMap(({ service, address }, i) => {
    const named = reader.at(`listen.tcp[${i}].service`, () => parseServicePort(service, namespace));
    const listen = reader.address(`listen.tcp[${i}].address`, address);
    return named === undefined || listen === undefined ? [] : { ...named, listen };
  });
}

function parseAppProtocol(text: string): AppProtocol {
  const protocol = tryParseAppProtocol(text);
  if (protocol !== undefined) return protocol;
  throw new SkeinError(
    'SKEIN_CONFIG',
    `Cannot read appProtocol "${text}": expected one of ${DECLARED_APP_PROTOCOLS.join(', ')}; applications are spoken to without TLS`,
  );
}

function parseInterval(text: string): number {
  const ms = tryParseDuration(text);
  if (ms === undefined || ms < 100) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read interval "${text}": expected 100ms or more, such as 5s`);
  }
  return ms;
}

/** Reads values of a file one by one and collects what is wrong with them. */
class FileReader {
  readonly #name: string;
  #issues: ConfigIssue[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  at<T>(path: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      this.#issues.push({ path, message: error.message });
      return undefined;
    }
  }

  address(path: string, text: string | undefined): ListenAddress | undefined {
    return text === undefined ? undefined : this.at(path, () => parseListenAddress(text));
  }

  /** @throws SkeinError SKEIN_CONFIG with all issues so far */
  finish(): void {
    if (this.#issues.length > 0) throw configError(this.#name, this.#issues);
  }
}
