/** How far the network lets this machine come to a hub: name, connection, TLS, WebSocket, one step after the other, each timed. */

import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { TOLERATED_SKEW_MS } from '../auth/validity.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { toHttpUrl } from './address.ts';

export interface Step {
  readonly name: string;
  /** `warning`: it works, and something is odd. `skipped`: there was no need, or a step before has failed. */
  readonly state: 'ok' | 'warning' | 'failed' | 'skipped';
  /** How long it took, in milliseconds. */
  readonly ms?: number;
  readonly detail: string;
  readonly remedy?: string;
}

/** What a step tells, and what it gives to the next one. */
type Told = Omit<Step, 'name' | 'ms'>;
type Outcome<T> = readonly [value: T, told: Told];

const STEP_MS = 5_000;
/** Of an answer to an upgrade. */
const MAX_HEAD_BYTES = 16 * 1024;
/** The sample nonce of RFC 6455 §1.3: nothing here depends on it. */
const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const DAY_MS = 86_400_000;
/** A certificate that ends sooner is worth a word. */
const EXPIRES_SOON_DAYS = 14;
const UPGRADE_REMEDY = 'Check that the URL leads to a skein hub, and that every proxy before it passes on upgrades.';
const LATE_REMEDY = 'Check that no firewall drops the packets, and that the address is right.';
/** Fields by which proxies and the like give themselves away. */
const MIDDLE_FIELDS = ['via', 'x-cache', 'cf-ray', 'x-amz-cf-id', 'x-served-by'];
const DATE_STEP_MS = 1_000;

/** The steps to `url`; behind the first that fails there are none. A failure of the system has no remedy here. Never throws. */
export async function checkNetwork(url: string, clock: Clock): Promise<Step[]> {
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  const isTls = protocol === 'wss:';
  const target = { host, port: Number(port) || (isTls ? 443 : 80) };
  const steps: Step[] = [];
  const run = async <T>(name: string, work: () => Promise<Outcome<T>>): Promise<T | undefined> => {
    const startedMs = clock.monotonicMs();
    try {
      const [value, told] = await work();
      steps.push({ name, ms: toTenths(clock.monotonicMs() - startedMs), ...told });
      return value;
    } catch (thrown) {
      const detail = thrown instanceof Error ? thrown.message : String(thrown);
      const remedy = thrown instanceof SkeinError ? { remedy: String(thrown.details.remedy) } : {};
      steps.push({ name, ms: toTenths(clock.monotonicMs() - startedMs), state: 'failed', detail, ...remedy });
      return undefined;
    }
  };
  const addresses = await run('dns', () => resolve(host));
  const [address] = addresses ?? [];
  if (address === undefined) return steps;
  const plain = await run('tcp', () => dial(addresses ?? [], target.port, clock));
  if (plain === undefined) return steps;
  let socket: Socket = plain;
  if (isTls) {
    plain.destroy();
    const secure = await run('tls', () => secureConnection(target, clock));
    if (secure === undefined) return steps;
    socket = secure;
  }
  await run('websocket', () => upgrade(socket, new URL(url), clock));
  socket.destroy();
  return steps;
}

async function resolve(host: string): Promise<Outcome<string[]>> {
  if (isIP(host) !== 0) return [[host], { state: 'skipped', detail: `${host} is an address` }];
  const addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  return [addresses, { state: 'ok', detail: addresses.join(', ') }];
}

/** The first address that takes a connection. */
async function dial(addresses: readonly string[], port: number, clock: Clock): Promise<Outcome<Socket>> {
  let failure: unknown;
  for (const address of addresses) {
    try {
      const socket = await opened(connect({ host: address, port }), 'connect', clock);
      const others = addresses.slice(0, addresses.indexOf(address));
      const detail = `${address.includes(':') ? `[${address}]` : address}:${port}`;
      return [
        socket,
        others.length === 0
          ? { state: 'ok', detail }
          : {
              state: 'warning',
              detail: `${detail}; not ${others.join(', ')}`,
              remedy: 'Take addresses that do not answer out of the DNS.',
            },
      ];
    } catch (thrown) {
      failure = thrown;
    }
  }
  throw failure;
}

async function secureConnection(
  { host, port }: { readonly host: string; readonly port: number },
  clock: Clock,
): Promise<Outcome<TLSSocket>> {
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket = await opened(
    connectTls({ host, port, ALPNProtocols: ['http/1.1'], ...servername }),
    'secureConnect',
    clock,
  );
  const { issuer, valid_to: validTo } = socket.getPeerCertificate();
  const days = Math.floor((Date.parse(validTo) - clock.epochMs()) / DAY_MS);
  const detail = `${socket.getProtocol() ?? 'TLS'}, certificate by ${issuer?.CN ?? issuer?.O ?? 'somebody'} for ${days} days`;
  if (days >= EXPIRES_SOON_DAYS) return [socket, { state: 'ok', detail }];
  return [socket, { state: 'warning', detail, remedy: 'Renew the certificate of the hub, or of the proxy before it.' }];
}

/** Asks for a WebSocket, with compression offered: a hub never takes it, so that who does stands in between. */
async function upgrade(socket: Socket, { host, pathname: path }: URL, clock: Clock): Promise<Outcome<true>> {
  socket.write(
    [
      `GET ${path} HTTP/1.1`,
      `Host: ${host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${SAMPLE_KEY}`,
      'Sec-WebSocket-Protocol: skein.v1',
      'Sec-WebSocket-Extensions: permessage-deflate',
      '\r\n',
    ].join('\r\n'),
  );
  const head = await readHead(socket, clock);
  const [statusLine = '', ...lines] = head.split('\r\n');
  const fields = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  if (!/^HTTP\/1\.1 101\b/.test(statusLine)) throw stopped(`no upgrade: ${statusLine}`, UPGRADE_REMEDY);
  if (fields.get('sec-websocket-protocol') !== 'skein.v1') throw stopped('no skein spoken there', UPGRADE_REMEDY);
  const middle = MIDDLE_FIELDS.flatMap((name) => (fields.has(name) ? [`${name}: ${fields.get(name)}`] : []));
  const extensions = fields.get('sec-websocket-extensions');
  if (extensions !== undefined) middle.push(`something between speaks WebSocket itself (${extensions})`);
  if (middle.length === 0) return [true, { state: 'ok', detail: 'skein.v1' }];
  return [
    true,
    {
      state: 'warning',
      detail: `skein.v1, through a proxy (${middle.join('; ')})`,
      remedy: 'Let it leave WebSockets alone, and end none that are idle for less than 10 s.',
    },
  ];
}

/** Status line and fields of the answer. */
function readHead(socket: Socket, clock: Clock): Promise<string> {
  return new Promise((resolve_, reject) => {
    let text = '';
    const settle = (): void => {
      timer.cancel();
      socket.removeAllListeners();
      socket.on('error', () => undefined);
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    const timer = clock.setTimer(STEP_MS, () => fail(stopped('no answer in time', UPGRADE_REMEDY)));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0 && text.length < MAX_HEAD_BYTES) return;
      if (end < 0) return fail(stopped('an answer that is none of HTTP', UPGRADE_REMEDY));
      settle();
      resolve_(text.slice(0, end));
    });
    socket.on('error', fail);
    socket.on('close', () => fail(stopped('connection closed', UPGRADE_REMEDY)));
  });
}

/** Rejects when it does not stand in time. */
function opened<S extends Socket>(socket: S, event: 'connect' | 'secureConnect', clock: Clock): Promise<S> {
  return new Promise((resolve_, reject) => {
    const fail = (error: Error): void => {
      timer.cancel();
      socket.destroy();
      reject(error);
    };
    const timer = clock.setTimer(STEP_MS, () => fail(stopped('no answer in time', LATE_REMEDY)));
    socket.once('error', fail);
    socket.once(event, () => {
      timer.cancel();
      socket.off('error', fail);
      socket.on('error', () => undefined); // whoever waits for something on it, is told of its close
      resolve_(socket);
    });
  });
}

/** By how much the clocks differ, as far as the date of an HTTP answer tells: whole seconds. Never throws. */
export async function checkClock(url: string, clock: Clock): Promise<Step> {
  const name = 'clock';
  try {
    const sentMs = clock.epochMs();
    const response = await fetch(`${toHttpUrl(url)}/healthz`, { signal: AbortSignal.timeout(STEP_MS) });
    await response.body?.cancel();
    const dateMs = Date.parse(response.headers.get('date') ?? '');
    if (Number.isNaN(dateMs)) return { name, state: 'skipped', detail: 'the hub tells no date' };
    const offsetMs = dateMs + DATE_STEP_MS / 2 - (sentMs + clock.epochMs()) / 2;
    const seconds = Math.round(Math.abs(offsetMs) / 1_000);
    if (seconds <= 1) return { name, state: 'ok', detail: 'as the hub’s, to the second' };
    const detail = `${seconds} s ${offsetMs > 0 ? 'behind' : 'ahead of'} the hub’s`;
    if (Math.abs(offsetMs) <= TOLERATED_SKEW_MS) return { name, state: 'ok', detail };
    const remedy = `Set both clocks, with NTP: credentials are refused by clocks that differ by more than ${TOLERATED_SKEW_MS / 60_000} min.`;
    return { name, state: 'warning', detail, remedy };
  } catch (thrown) {
    return { name, state: 'skipped', detail: `not told: ${thrown instanceof Error ? thrown.message : thrown}` };
  }
}

/** A failure that is explained. */
function stopped(state: string, remedy: string): SkeinError {
  return new SkeinError('SKEIN_HUB_UNREACHABLE', state, { details: { remedy } });
}

function toTenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
