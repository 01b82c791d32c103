/** Options of a sidecar: what is read into which form, and that every issue is told at once. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { resolveSidecarOptions, type SidecarOptions } from '../../../src/sidecar/options.ts';

const resolve = (options: Partial<SidecarOptions>) => resolveSidecarOptions({ hub: 'ws://hub', ...options });

const TARGETS: readonly [text: string, target: object | undefined][] = [
  ['http://127.0.0.1:3000', { protocol: 'http', host: '127.0.0.1', port: 3000 }],
  ['http://app', { protocol: 'http', host: 'app', port: 80 }],
  ['http://[::1]:3000/', { protocol: 'http', host: '::1', port: 3000 }],
  ['tcp://db:5432', { protocol: 'tcp', host: 'db', port: 5432 }],
  ['tcp://db', undefined],
  ['https://127.0.0.1:3000', undefined],
  ['http://127.0.0.1:0', undefined],
  ['http://user@127.0.0.1:80', undefined],
  ['http://127.0.0.1:3000/path', undefined],
  ['127.0.0.1:3000', undefined],
];

for (const [target, expected] of TARGETS) {
  test(`Target ${target} is ${expected === undefined ? 'refused' : 'read'}`, () => {
    const read = () => resolve({ expose: [{ service: 'api', target }] }).expose[0]?.target;
    if (expected === undefined) throws(read, /expose\.?\[0\]\.target|expected http/);
    else deepEqual(read(), expected);
  });
}

const APP_PROTOCOLS: readonly [appProtocol: string, target: string, protocol: string | undefined][] = [
  ['kubernetes.io/h2c', 'http://app:1', 'h2c'],
  ['grpc', 'http://app:1', 'h2c'],
  ['kubernetes.io/ws', 'tcp://app:1', 'http'],
  ['http', 'h2c://app:1', 'http'],
  ['tcp', 'http://app:1', 'tcp'],
  ['kubernetes.io/wss', 'http://app:1', undefined],
  ['https', 'http://app:1', undefined],
  ['constructor', 'http://app:1', undefined],
];

for (const [appProtocol, target, expected] of APP_PROTOCOLS) {
  test(`appProtocol ${appProtocol} is ${expected === undefined ? 'refused' : `${expected}, whatever ${target} says`}`, () => {
    const read = () => resolve({ expose: [{ service: 'api', target, appProtocol }] }).expose[0]?.target.protocol;
    if (expected === undefined) throws(read, /appProtocol/);
    else equal(read(), expected);
  });
}

test('Names are read in the namespace of the sidecar, and the agent gets the rest', () => {
  const { agent, expose, tcp, http, drainMs } = resolve({
    namespace: 'shop',
    region: 'eu-west',
    zone: 'b',
    expose: [
      { service: 'api', target: 'http://app:3000' },
      {
        service: 'db.data',
        port: 5432,
        target: 'tcp://db:5432',
        labels: { version: 'v2' },
        health: { intervalMs: 100 },
      },
    ],
    listen: {
      http: '127.0.0.1:8080',
      tcp: [
        { service: 'cache', address: { host: '127.0.0.1', port: 0 } },
        { service: 'db.data', port: 5432, address: '[::1]:5432' },
      ],
    },
  });
  deepEqual(
    expose.map(({ service, port, labels, health }) => ({ service, port, labels, health })),
    [
      { service: 'api.shop', port: 80, labels: {}, health: { path: undefined, intervalMs: 5000 } },
      { service: 'db.data', port: 5432, labels: { version: 'v2' }, health: { path: undefined, intervalMs: 100 } },
    ],
  );
  deepEqual(tcp, [
    { name: 'cache', service: 'cache.shop', port: 80, address: { host: '127.0.0.1', port: 0 } },
    { name: 'db.data:5432', service: 'db.data', port: 5432, address: { host: '::1', port: 5432 } },
  ]);
  deepEqual(http, { host: '127.0.0.1', port: 8080 });
  equal(drainMs, 30_000);
  deepEqual(agent, {
    hub: 'ws://hub',
    namespace: 'shop',
    region: 'eu-west',
    zone: 'b',
    services: ['api.shop', 'db.data'],
  });
});

const REFUSED: readonly [name: string, options: object][] = [
  ['a namespace that is no label', { namespace: 'Shop' }],
  ['a service that is no name', { expose: [{ service: 'a b', target: 'http://app' }] }],
  ['a field nobody knows', { expose: [{ service: 'api', target: 'http://app', weight: 2 }] }],
  ['a listener without a port', { listen: { http: '127.0.0.1' } }],
  ['a health path that is none', { expose: [{ service: 'api', target: 'http://app', health: { path: 'healthz' } }] }],
  [
    'a health path with a line break',
    { expose: [{ service: 'api', target: 'http://app', health: { path: '/a\r\nb' } }] },
  ],
  ['a probe all the time', { expose: [{ service: 'api', target: 'http://app', health: { intervalMs: 1 } }] }],
  ['an admin port for the network', { admin: '0.0.0.0:9000' }],
  ['a negative drain', { drainMs: -1 }],
];

for (const [name, options] of REFUSED) {
  test(`Refuses ${name}`, () =>
    throws(() => resolve(options as Partial<SidecarOptions>), { name: 'SkeinError', code: 'SKEIN_CONFIG' }));
}

test('All issues are told at once', () => {
  try {
    resolve({ namespace: 'Shop', admin: 'nowhere', expose: [{ service: '', target: 'ftp://app' }] });
    ok(false, 'nothing was refused');
  } catch (error) {
    ok(error instanceof SkeinError);
    const issues = error.details.issues as { path: string }[];
    deepEqual(
      issues.map(({ path }) => path),
      ['namespace', 'expose[0].service', 'expose[0].target', 'admin'],
    );
  }
});
