/** Where an issuer may send those who fetch its keys: to public places over TLS, and nowhere in here that the configuration has not named. */

import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { createIssuerKeys } from '../../../src/auth/issuer-keys.ts';
import { getJson } from '../../../src/auth/remote-document.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { mayLeadTo } from '../../../src/core/safe-url.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/local-mesh.ts';

const PUBLIC = 'https://issuer.example.com';
const INSIDE = [
  'https://169.254.169.254/latest/meta-data/',
  'https://0xa9fea9fe/latest/meta-data/',
  'https://2852039166/latest/meta-data/',
  'https://169.254.43518/',
  'https://[::ffff:169.254.169.254]/',
  'https://[fd00:ec2::254]/',
  'https://[fe80::1]/',
  'https://100.100.100.200/',
  'https://168.63.129.16/',
  'https://0.0.0.0/',
  'https://[::]/',
  'https://[64:ff9b::a9fe:a9fe]/',
  'https://224.0.0.1/',
  'https://127.0.0.1:7000/',
  'https://127.1/',
  'https://[::1]/',
  'https://localhost/',
  'https://LOCALHOST./',
  'https://keys.localhost/',
  'http://localhost/',
  'https://10.0.0.5/keys',
  'https://192.168.1.1/',
  'https://172.16.3.4/',
  'https://100.64.0.1/',
  'https://[fd12:3456::1]/',
];

/** A world in which every place answers with the discovery document of `issuer`, and tells who was asked. */
function createWorld(issuer: string, jwksUri: string) {
  const asked: string[] = [];
  const body = encodeUtf8(JSON.stringify({ issuer, jwks_uri: jwksUri, keys: [] })).slice();
  const getDocument = async (url: string) => {
    asked.push(url);
    return { status: 200, body, location: undefined };
  };
  return { asked, platform: { clock: new VirtualClock(), getDocument } };
}

async function ask(issuer: string, told: string, jwksUri?: string) {
  const { asked, platform } = createWorld(issuer, told);
  const log = new EventLog();
  const keys = createIssuerKeys({ platform, log, issuer, jwksUri, algorithms: ['ES256'], timeoutMs: 1_000 });
  await keys.refresh();
  return { asked, refused: log.of('document-not-fetched') };
}

test('A public issuer sends nobody to a metadata service, this machine or a private network, in whatever spelling', async () => {
  for (const place of INSIDE) {
    const { asked, refused } = await ask(PUBLIC, place);
    deepEqual(asked, [`${PUBLIC}/.well-known/openid-configuration`], place);
    match(String(refused[0]?.fields.error), /not public/, place);
    match(String(refused[0]?.fields.remedy), /jwksUri/, place);
  }
  const { asked } = await ask(PUBLIC, 'https://keys.example.net/all');
  deepEqual(asked, [`${PUBLIC}/.well-known/openid-configuration`, 'https://keys.example.net/all']);
});

test('What the configuration names is asked, wherever it is; and from there what is at the same kind of place', async () => {
  for (const place of ['https://10.0.0.5/keys', 'https://169.254.169.254/keys']) {
    deepEqual((await ask(PUBLIC, '', place)).asked, [place]);
    const { origin } = new URL(place);
    deepEqual((await ask(origin, place)).asked, [`${origin}/.well-known/openid-configuration`, place]);
  }
  equal(mayLeadTo('https://10.0.0.5', 'https://192.168.1.1/keys'), true);
  equal(mayLeadTo('http://127.0.0.1:8080', 'http://localhost:9090/keys'), true);
  equal(mayLeadTo('https://10.0.0.5', 'https://127.0.0.1/keys'), false);
  equal(mayLeadTo('https://10.0.0.5', 'https://169.254.169.254/keys'), false);
  equal(mayLeadTo('http://127.0.0.1:8080', 'https://10.0.0.5/keys'), false);
  equal(mayLeadTo('https://169.254.1.1', 'https://169.254.169.254/keys'), false);
});

test('A redirect leads to no such place either', async () => {
  for (const location of INSIDE) {
    const asked: string[] = [];
    const getDocument = async (url: string) => {
      asked.push(url);
      return { status: 302, body: new Uint8Array(), location };
    };
    const got = await getJson({ getDocument }, PUBLIC, 1_000, 3).catch(({ code }) => code);
    deepEqual([got, asked], ['SKEIN_PROTOCOL', [PUBLIC]], location);
  }
});
