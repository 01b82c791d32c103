/**
 * What a runtime or a machine cannot do, and which tests skip for it: the one list. Tests ask `lacking(…)`; the test
 * tools fail on any skip that is not written here, and on any that is written here and did not happen.
 */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { titlesWith } from '../support/interop/names.ts';
import { STORE_CASES } from '../support/store-cases.ts';

/** What runs the tests. */
export interface Host {
  readonly runtime: 'node' | 'bun' | 'deno' | 'chromium' | 'workerd';
  readonly major: number;
  readonly platform: string;
  readonly arch: string;
  /** May create network namespaces and bind ports below 1024. */
  readonly root: boolean;
  hasCommand(name: string): boolean;
}

export interface Lack {
  /** Why, with the upstream issue where there is one. */
  readonly reason: string;
  readonly on: (host: Host) => boolean;
  /** Test file → names of the tests in it that skip. */
  readonly tests: Readonly<Record<string, readonly string[]>>;
}

/** They make certificates and ask by curl. */
const WITH_TLS_AND_CURL: Readonly<Record<string, readonly string[]>> = {
  'test/e2e/federation.test.ts': [
    'A token of a partner is believed where it is for us, and nowhere else',
    'The bundle is a resource: shown, sealed, and with public keys for bearer tokens alone',
    'While the endpoint is away, and the hub starts again without it, the keys that were got last hold',
    'Nothing crashed',
  ],
  'test/e2e/end-user.test.ts': [
    'No token passes without a user, a valid one with its user, and neither shows the token to the application',
    'Policies decide by claims',
    'Expired, for another audience, of another issuer, by another key, changed, nonsense: 401, and one answer',
    'A second request with the same token costs little more than one without',
    'Nothing crashed',
  ],
};

export const LACKS: Readonly<Record<string, Lack>> = {
  'cpu time': {
    reason:
      'workerd tells nobody how much processor time was used (process.cpuUsage), as a guard against side channels',
    on: ({ runtime }) => runtime === 'workerd',
    tests: {
      'test/model/routes.test.ts': [
        'Of many random sets of routes the same rule takes a request as the specification says, in any order of the routes',
      ],
      'test/unit/http/h1-parser.test.ts': ['H1Parser reads a head that comes byte by byte in linear time'],
    },
  },
  'buffers of V8': {
    reason:
      'Only Node lets large buffers be freed early (docs/decisions/0031); the others free theirs in ways of their own',
    on: ({ runtime }) => runtime !== 'node',
    tests: {
      'test/unit/runtime/fresh-buffers.test.ts': [
        'are left to V8 where the process is not our own',
        'are freed when a record is sealed',
        'are collected, those of opened records, before there are many',
      ],
    },
  },
  'http-silent-connections': {
    reason: "Bun's node:http tells of a connection with its first request only; its own idle timeout ends silent ones",
    on: ({ runtime }) => runtime === 'bun',
    tests: {
      'test/unit/runtime/http.test.ts': [
        'closes connections without a request when it closes',
        'takes the place of the oldest that said nothing when they are too many',
      ],
    },
  },
  'kept http connections': {
    reason: "Deno's node:http closes a connection that was handed to it (emit('connection')) behind its first answer",
    on: ({ runtime }) => runtime === 'deno',
    tests: {
      'test/unit/agent/direct/door.test.ts': [
        'Tells who asks where it is seen, keeps so many connections for a while, and counts them apart',
      ],
    },
  },
  'mount namespaces': {
    reason: 'needs root, and unshare of Linux',
    on: (host) => !(host.platform === 'linux' && host.root && host.hasCommand('unshare')),
    tests: {
      'test/e2e/full-disk.test.ts': [
        'below a hub: calls go on, changes are refused with the reason, and made when there is room',
        'below a sidecar: it says why it does not join, and spends no token',
      ],
    },
  },
  'network namespaces': {
    reason: 'needs root, and ip and nft of Linux',
    on: (host) => !(host.platform === 'linux' && host.root && host.hasCommand('ip') && host.hasCommand('nft')),
    tests: {
      'test/e2e/check.test.ts': [
        'Tells from behind a NAT how far it comes, and what the NAT makes of its connections',
        'Ends with 4 when the hub is another than the token names, with 3 when it cannot be reached',
      ],
      'test/e2e/dns.test.ts': ['Leads curl to services by name, without a proxy and without a port'],
      'test/e2e/workerd-nat.test.ts': ['Call each other 10,000 times without an error: the example, as it is deployed'],
      'test/e2e/nat.test.ts': [
        'Drops all that comes from outside and lets nothing out but to the hub',
        'Carries HTTP, WebSockets and TCP between two sites without one error',
        'Carries the same when nginx ends TLS in front of the hub',
      ],
      'test/e2e/workerd-hub.test.ts': ['joins two sites that accept nothing from outside'],
      'test/e2e/real-apps.test.ts': [
        'curl downloads 1 GiB unchanged while the hub stays small',
        'curl uploads 1 GiB unchanged while the hub stays small',
        'pgbench keeps its books straight through a TCP listener',
        'A hono application serves in process, without a port',
      ],
      'test/e2e/silence.test.ts': [
        'A connection of the caller, in both directions: another takes its place, and no stream ends',
        'A connection of the caller, in what it sends: another takes its place, and no stream ends',
        'A connection of the caller, in what it hears: another takes its place, and no stream ends',
        'A connection of the callee, in both directions: another takes its place, and no stream ends',
        'Of five packets one is lost, for half a minute: no link is lost, and no stream ends',
        'The hub is stopped for 7 s, and a sidecar for 15 s: no stream ends, and the hub loses no link',
        'A site goes dark while nothing is said: the hub lets go of its sidecar within 15 s',
      ],
    },
  },
  'delay link': {
    reason: 'needs network namespaces, /dev/net/tun, and Bun for Linux on x64, whose FFI reaches it',
    on: (host) => LACKS['network namespaces']?.on(host) !== false || host.arch !== 'x64' || !existsSync('/dev/net/tun'),
    tests: {
      'test/e2e/direct-change.test.ts': [
        "Lose nothing when the caller's NAT gives other ports",
        "Lose nothing when the callee's NAT gives other ports",
        "Lose nothing when the caller's NAT gets another address",
        "Lose nothing when the callee's NAT gets another address",
        "Lose nothing when the caller's host gets another address",
        "Lose nothing when the caller's NAT forgets, and says nothing",
        'Lose nothing when nothing passes',
      ],
      'test/e2e/nat-table.test.ts': [
        'Two members behind NATs: both drop strangers',
        'Two members behind NATs: both reset strangers',
        'Two members behind NATs: the caller drops, the callee resets',
        'Two members behind NATs: the caller resets, the callee drops',
        'Two members behind NATs: firewalls without NAT',
        'Two members behind NATs: the caller is symmetric',
        'Two members behind NATs: the callee is symmetric',
        'Two members behind NATs: both are symmetric',
      ],
      'test/e2e/relay-change.test.ts': [
        "Lose nothing when the caller's NAT gives other ports",
        "Lose nothing when the callee's NAT gives other ports",
        "Lose nothing when the caller's NAT gets another address",
        "Lose nothing when the callee's NAT gets another address",
        "Lose nothing when the caller's host gets another address",
        "Lose nothing when the caller's NAT forgets, and says nothing",
      ],
    },
  },
  'loopback addresses beyond 127.0.0.1': {
    reason: 'macOS has 127.0.0.1 alone until somebody adds aliases; Linux and Windows have all of 127.0.0.0/8',
    on: (host) => host.platform === 'darwin',
    tests: {
      'test/unit/sidecar/dns.test.ts': [
        'Names of the mesh resolve, short and whole, and to the same address',
        'SRV tells the ports of a service',
        'What was resolved is reached: requests and bytes, each on its port',
        'By TCP questions are answered in order, broken ones end the connection, silent ones cost nothing',
        'Garbage by UDP is not answered, or refused, and harms nobody',
      ],
    },
  },
  '/proc': {
    reason: 'needs /proc of Linux, to look into processes',
    on: (host) => host.platform !== 'linux',
    tests: {
      'test/e2e/blindness.test.ts': [
        'Canaries sent both ways are nowhere in its memory, its files, its log or on either link',
      ],
      'test/e2e/catalogue-size.test.ts': ['Costs a sidecar that uses 5 of them no more than 10 MiB'],
      'test/e2e/hostile-member.test.ts': [
        'Costs a sidecar no more than the sessions it has with it',
        'Costs the hub no more than its links',
      ],
      'test/e2e/hostile.test.ts': [
        'The hub survives link messages of strangers',
        'The hub survives HTTP of strangers',
        'The sidecar survives mutants of all of them',
      ],
      'test/e2e/floods.test.ts': [
        'Strangers pin no more than 64 KiB each, and are gone after 2 s',
        '1000 slow connections at each listener keep nobody out, and are gone at their deadline',
      ],
      'test/e2e/secrets.test.ts': [
        'Drives all that could tell one',
        'None of them is in what was printed, in arguments, or in files that others may read',
        'One that is planted is found in each of these places',
      ],
      'test/e2e/slow-reader.test.ts': ['Does not slow the other 99, and pins no more than its window'],
    },
  },
  Chromium: {
    reason: "needs Debian's Chromium, which pages of the web run in",
    on: () => !existsSync('/usr/bin/chromium'),
    tests: {
      'test/e2e/interop.test.ts': titlesWith('Chromium'),
      'test/e2e/browser-pages.test.ts': [
        'Under a name that leads here (DNS rebinding) is told by every route that it is not known',
        'Of another origin reads nothing and changes nothing, with the token and without',
        'Cannot have a form sent for it, nor open a WebSocket',
      ],
      'test/e2e/browser-background.test.ts': [
        'Is missed by the hub after a while, and goes on with its stream when it wakes',
      ],
      'test/e2e/browser-hostile.test.ts': [
        'Keep a key that no script can read, and no other origin has any of it',
        'Of another origin cannot dial the hub',
        'Cannot use the admin API, with its token, of whatever origin they are',
        'With a token that was used are refused by name, as with one that was made up',
        'Join by the token of a login that the hub trusts, once, and as who it says',
        'End a link on which text, or a message too large, comes where bytes are due',
        'Read what comes as slowly as they like, and send no more than is taken',
      ],
      'test/e2e/browser.test.ts': [
        'Calls a service of Node behind a sidecar, speaks raw bytes with another, and is called by the first',
        'Loses no byte of what comes when its WebSocket is cut in the middle: rst',
        'Loses no byte of what comes when its WebSocket is cut in the middle: mid-message',
        'Loses no byte of what comes when its WebSocket is cut in the middle: close-1001',
        'Loses no byte of what goes when its WebSocket is cut in the middle: rst',
        'Loses no byte of what goes when its WebSocket is cut in the middle: mid-message',
        'Loses no byte of what goes when its WebSocket is cut in the middle: close-1001',
        'Is who it was when it is loaded again, and needs no token',
        'Is one of two in another window, and each of them is called',
        'Told the browser of no mishap',
      ],
    },
  },
  curl: {
    reason: 'needs curl, the client a user would try first',
    on: (host) => !host.hasCommand('curl'),
    tests: {
      ...WITH_TLS_AND_CURL,
      'test/e2e/demo.test.ts': [
        'Prints one ready line, answers across the mesh, and ends clean',
        'Shows a person the call and what to try',
      ],
      'test/e2e/readme.test.ts': ['Every command of README.md works, from a clone, word by word'],
      'test/e2e/real-apps.test.ts': [
        'curl downloads 1 GiB unchanged while the hub stays small',
        'curl uploads 1 GiB unchanged while the hub stays small',
        'A hono application serves in process, without a port',
      ],
    },
  },
  nginx: {
    reason: 'needs nginx and openssl',
    on: (host) => !(host.hasCommand('nginx') && host.hasCommand('openssl')),
    tests: { 'test/e2e/nat.test.ts': ['Carries the same when nginx ends TLS in front of the hub'] },
  },
  'nats-server': {
    reason: 'needs nats-server, the store that several hubs share',
    on: (host) => !host.hasCommand('nats-server'),
    tests: {
      'test/e2e/hub-kills.test.ts': [
        'Is killed with -9 10 times: no request fails, none is done twice, no stream ends',
        'Falls silent 4 times, nothing reset: no request fails, none is done twice, no stream ends',
      ],
      'test/e2e/rolling-restart.test.ts': [
        'Of both hubs costs nothing: no request fails, no stream ends',
        'Of the sidecars of a service: no request fails, none is done twice',
      ],
      'test/e2e/store-cluster.test.ts': ['Loses no change and no hub when its leader is killed again and again'],
      'test/e2e/two-hubs.test.ts': [
        'A hub with an issuer of its own does not start, and says which file to copy from where',
        'The catalogue is one, and calls find members of either hub',
        'A token made at one hub works at the other, and never again at either',
        'A policy applied at one hub denies at the other within a second',
        'A hub killed with -9 takes nobody with it who has another one',
        'A hub that drains hands over who has another one, and no call fails',
        'A store that is killed and comes back costs no call, and registrations that waited are told',
        'Nobody printed the password of the store',
      ],
      'test/unit/cli/hub-settings.test.ts': ['a hub opens its shared store with a file of credentials'],
      'test/unit/hub/nats-login.test.ts': [
        'tls:// to a server whose authority is trusted: the store is open, and written to',
        'tls:// to a server under another name is not used, whoever has signed for it',
        'tls:// to a server that nobody vouches for is not used',
        'tls:// to a server without TLS is not used, and is told no password',
        'A file of credentials opens the store; those of another operator are refused; neither is ever printed',
        'A file that holds no credentials is refused at once, and nothing of it is printed',
      ],
      'test/unit/hub/nats-store.test.ts': [
        ...STORE_CASES.map(({ name }) => `Store (nats): ${name}`),
        'Store (nats): two hubs hear of each other in the same order, each change once',
        'Store (nats): of two hubs that race for one key again and again, one wins each time',
        'Store (nats): a hub that was cut off is told what it missed, each change once, also of marks that are gone',
        'Store (nats): cut and healed again and again while another hub writes, it tells each change once',
        'Store (nats): a server killed and started again has all that was answered, and is written to again',
        'Store (nats): a hub waits for a server that is not there yet, says so, and stops waiting when told',
        'Store (nats): a wrong login is refused, a right one works, and neither is ever printed',
        'Store (nats): a bucket that was made anew is not followed: the hub keeps what it knew and says what to do',
        'Store (nats): two hubs that change the same resources at once make one revision after the other',
        'Store (nats): marks of deletions do not pile up at the server, and what is made anew meanwhile stays',
      ],
    },
  },
  workerd: {
    reason: 'needs the package of workerd in test/runtimes, which serves Linux on x64 only',
    on: ({ platform, arch }) => !(platform === 'linux' && arch === 'x64'),
    tests: {
      'test/e2e/interop.test.ts': titlesWith('workerd'),
      'test/e2e/workerd-hub.test.ts': [
        'is used as any other: join tokens, resources, calls with a proven identity',
        'carries 10,000 requests and bodies both ways',
        'sleeps while nobody calls, and wakes with all members and every stream',
        'comes back with its storage: members by the identity they have kept',
        'refuses what is no message of ours, and whom it does not know',
        'says what is missing while it has no admin token',
        'joins two sites that accept nothing from outside',
      ],
      'test/e2e/workerd.test.ts': [
        'Calls for its Workers, and serves by functions and by bindings, each side knowing who calls',
        'Carries bodies both ways, no faster than they are read',
        'Is who it was when it starts again, with no token, and before anybody calls',
        'Answers with the reason when its token was used by another, or is forged',
        'Joins for the time of a request, keeps its identity, and streams',
        'Is told why it may not join',
      ],
      'test/e2e/workerd-dial.test.ts': [
        'Carries binary messages both ways, and is closed by either end without a wait',
        'Tells the other end why it closes',
        'Is closed at text where bytes are due (1003)',
        'Is closed at a message above the limit (1009)',
        'Is lost at a message that workerd itself refuses (33 MiB)',
        'Is lost when the other end goes without a word',
        'Is not there where no hub is, and the error says what is there instead',
      ],
      'test/e2e/workerd-nat.test.ts': ['Call each other 10,000 times without an error: the example, as it is deployed'],
    },
  },
  'Bun and Deno': {
    reason: 'needs the packages of Bun and Deno in test/runtimes, which serve Linux on x64 only',
    on: ({ platform, arch }) => !(platform === 'linux' && arch === 'x64'),
    tests: {
      'test/e2e/interop.test.ts': titlesWith('Bun', 'Deno'),
      'test/e2e/deno-permissions.test.ts': [
        'A hub and a sidecar run with what the page says, and carry a call',
        'A hub without --allow-net names it',
        'A hub without --allow-env names it',
        'A hub without --allow-read names it',
        'A hub without --allow-write names it',
        'A sidecar without --allow-net names it',
        'A sidecar without --allow-env names it',
        'A sidecar without --allow-read names it',
        'A sidecar without --allow-write names it',
        'Who may not look whether the holder of a folder lives leaves it alone, and says so',
      ],
      'test/e2e/executables.test.ts': [
        '--help says what it makes, and what it does not know it refuses',
        'The one with node inside is hub, sidecar and caller by itself',
        'The one with bun inside is hub, sidecar and caller by itself',
      ],
      'test/e2e/other-runtimes.test.ts': [
        'From a clone: a hub on bun, called on deno by bun',
        'From npm: a hub on deno, called on bun by node',
        'From bun: a hub on bun, called on node by deno',
        'From deno: a hub on deno, called on deno by bun',
        'By its name alone: bun x --bun skein',
        'By its name alone: deno run -A npm:skein',
      ],
      'test/e2e/survival-pairs.test.ts': [
        'node calls Node, Bun and Deno',
        'bun calls Node, Bun and Deno',
        'deno calls Node, Bun and Deno',
      ],
    },
  },
  PostgreSQL: {
    reason: "needs Debian's PostgreSQL",
    on: (host) => !host.hasCommand('pg_ctlcluster'),
    tests: {
      'test/e2e/real-apps.test.ts': ['pgbench keeps its books straight through a TCP listener'],
      'test/e2e/survival.test.ts': ['Leave a session of psql as it is'],
    },
  },
  'grpcio of Python': {
    reason: "needs Debian's python3-grpcio",
    on: () => !existsSync('/usr/lib/python3/dist-packages/grpc'),
    tests: {
      'test/e2e/grpc-python.test.ts': [
        'All four kinds, metadata in front and behind, messages of 4 MiB',
        'Every status, also where the answer is nothing but trailers',
        'Who cancels, or has a deadline, ends the call at the application, which knows how long it has',
        'Each request of one connection is balanced by itself',
      ],
    },
  },
  'JWT libraries of Python': {
    reason: "needs Debian's python3-jwt and python3-jwcrypto",
    on: () => ['jwt', 'jwcrypto'].some((name) => !existsSync(`/usr/lib/python3/dist-packages/${name}`)),
    tests: {
      'test/e2e/interop-python.test.ts': [
        'PyJWT and jwcrypto verify a WIT-SVID against the published bundle, and read the same',
        'Both refuse it under another key, and with one bit of its signature changed',
        'Both verify a JWT-SVID against the published key set, as they do that of any OpenID provider',
        'The bundle is one as SPIFFE has it, and the key set for bearer tokens holds their key alone',
      ],
    },
  },
  openssl: {
    reason: 'needs openssl for keys and certificates',
    on: (host) => !host.hasCommand('openssl'),
    tests: {
      ...WITH_TLS_AND_CURL,
      'test/unit/cli/check.test.ts': ['A certificate that is not trusted is told of as such'],
      'test/unit/hub/nats-login.test.ts': [
        'tls:// to a server whose authority is trusted: the store is open, and written to',
        'tls:// to a server under another name is not used, whoever has signed for it',
        'tls:// to a server that nobody vouches for is not used',
      ],
      'test/unit/runtime/websocket-tls.test.ts': [
        'refuses a certificate of nobody known, and says how to trust it',
        'with the CA in the environment, wss://localhost gives: echo 1,2,3',
        'with the CA in the environment, wss://127.0.0.1 gives: certificate is for another name',
      ],
    },
  },
  'websocket-chunk-limit': {
    reason: "Bun's own ws has no maxBufferedChunks; it copies what comes into one buffer of at most maxPayload",
    on: ({ runtime }) => runtime === 'bun',
    tests: { 'test/unit/runtime/websocket.test.ts': ['sends away a client with a message in crumbs (1008)'] },
  },
  'own-reads': {
    reason: 'only the sockets of Node read into memory that they are given',
    on: ({ runtime }) => runtime !== 'node',
    tests: {
      'test/unit/runtime/socket-messages.test.ts': [
        'are not outstanding once the kernel has them',
        'are let go of with a receiver that never reads',
      ],
    },
  },
  'websocket-pong-limit': {
    reason: "Bun's own ws answers pings natively and has no maxPendingAutoPongs",
    on: ({ runtime }) => runtime === 'bun',
    tests: {
      'test/unit/runtime/websocket.test.ts': ['sends away a client with pings faster than they can be answered (1006)'],
    },
  },
  'websocket-fragment-limit': {
    reason:
      "Bun's own ws has no maxFragments; its flood pins no more than maxPayload (measured: 110 KB for 16,000 fragments)",
    on: ({ runtime }) => runtime === 'bun',
    tests: {
      'test/unit/runtime/websocket.test.ts': ['sends away a client with one-byte fragments without end (1008)'],
    },
  },
  'websocket-stranger-limit': {
    reason:
      "Bun's own ws tells of whole messages only: one that does not end is bounded by maxPayload and its deadline",
    on: ({ runtime }) => runtime === 'bun',
    tests: {
      'test/unit/runtime/stranger.test.ts': [
        'is dropped when it brings more than its limit: one message that does not end',
        'is dropped when it brings more than its limit: fragments of one message',
      ],
    },
  },
};

export function currentHost(): Host {
  const versions: Record<string, string | undefined> = process.versions;
  // Isolates of Cloudflare say so there and nowhere else.
  const isIsolate = globalThis.navigator?.userAgent === 'Cloudflare-Workers';
  const named = (['bun', 'deno', 'chromium'] as const).find((name) => versions[name] !== undefined);
  const runtime = isIsolate ? 'workerd' : (named ?? 'node');
  const folders = (process.env.PATH ?? '').split(delimiter);
  return {
    runtime,
    major: Number.parseInt(versions[runtime] ?? '0', 10),
    platform: process.platform,
    arch: process.arch,
    root: process.getuid?.() === 0 && mayMakeNamespaces(),
    hasCommand: (name) => folders.some((folder) => existsSync(join(folder, name))),
  };
}

/** Root inside a plain container may not: CAP_NET_ADMIN is bit 12 of its capabilities, CAP_SYS_ADMIN bit 21. */
function mayMakeNamespaces(): boolean {
  if (!existsSync('/proc/self/status')) return false;
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'}`);
  return ((held >> 12n) & 1n) === 1n && ((held >> 21n) & 1n) === 1n;
}

/** For a test's `skip` option: the reason when this host lacks it, else false. */
export function lacking(name: string, host: Host = currentHost()): string | false {
  const lack = LACKS[name];
  if (lack === undefined) throw new RangeError(`Unknown capability: "${name}"`);
  return lack.on(host) && lack.reason;
}

/** The skips that are right on a host, as `file: test`. */
export function expectedSkips(host: Host): string[] {
  return Object.values(LACKS)
    .filter((lack) => lack.on(host))
    .flatMap(({ tests }) => Object.entries(tests).flatMap(([file, names]) => names.map((name) => `${file}: ${name}`)));
}
