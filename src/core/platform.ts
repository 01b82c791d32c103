/** `Platform` port: all that a runtime lends the neutral world. `runtime/*` implements it; a missing capability is undefined. */

import type { ByteStream } from './byte-stream.ts';
import type { Bytes } from './bytes.ts';
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';
import type { DecodeLatin1 } from './text.ts';

/** AES-256-GCM under one key, synchronous: an awaited seal could reorder records. */
export interface Aead {
  /** Writes ciphertext and 16 bytes of tag at `out[offset]`; `out` has room for `plaintext.length + 16`. */
  seal(nonce: Bytes, aad: Bytes, plaintext: Bytes, out: Bytes, offset: number): void;
  /** The plaintext, or undefined when the tag is wrong. `sealed` is ciphertext and tag. */
  open(nonce: Bytes, aad: Bytes, sealed: Bytes): Bytes | undefined;
  /**
   * Does what can be done before the next message is there, while nobody waits for it; it is used for that nonce or not at all. undefined:
   * lets go of it. Absent where there is nothing to prepare.
   */
  prepareSeal?(nonce: Bytes | undefined): void;
  /** The same for what will be opened. */
  prepareOpen?(nonce: Bytes | undefined): void;
}

/** A key pair for one handshake (RFC 7748). */
export interface X25519KeyPair {
  /** 32 bytes. */
  readonly publicKey: Bytes;
  /** The shared secret, 32 bytes. @throws when the peer's key is of low order (all-zero output). */
  diffieHellman(peerPublicKey: Bytes): Bytes;
}

/** Cryptography that gives its result at once. Signatures are WebCrypto's, and no part of this. */
export interface Crypto {
  /** `key` is 32 bytes. */
  createAead(key: Bytes): Aead;
  /** The digest, 32 bytes, of all parts one after the other. */
  sha256(...parts: readonly Bytes[]): Bytes;
  /** The code, 32 bytes, of all parts one after the other (RFC 2104). */
  hmacSha256(key: Bytes, ...parts: readonly Bytes[]): Bytes;
  /** A new pair, or the pair of a given private key (test vectors). */
  createX25519(privateKey?: Bytes): X25519KeyPair;
}

/** What a WebSocket tells its owner. Nothing follows `onClose`. */
export interface MessagePipeEvents {
  /**
   * One binary message. It is the receiver's until this returns: it may patch it, and forward it by `send` of any pipe; what it
   * keeps is a copy, because the next message may come in the same memory.
   */
  onMessage(message: Bytes): void;
  /** Bytes left for the network: `outstandingBytes` fell. */
  onProgress(): void;
  /** Nothing comes any more. `code` is that of RFC 6455 §7.4, 1006 when the connection was lost. */
  onClose(code: number, reason: string): void;
  /** The other end's host has answered `sendIdlePing`. */
  onIdlePong?(): void;
}

/** One WebSocket, already open, as a pipe of binary messages. Subprotocol `skein.v1`, no compression, strict limits. */
export interface MessagePipe {
  /** Nothing is delivered before it has returned. */
  attach(events: MessagePipeEvents): void;
  /**
   * Takes ownership: the buffer is not written again before it was sent, because a server-side send does not copy. A message that is
   * being delivered may be given, too: who delivers it lets it be until then.
   */
  send(message: Bytes): void;
  /** Bytes handed to `send` whose completion was not reported yet. */
  readonly outstandingBytes: number;
  /** Begins the close handshake. A `code` that may not be sent becomes 1000; of `reason` 123 bytes are sent. */
  close(code: number, reason: string): void;
  /** Drops the connection without a close handshake. */
  terminate(): void;
  /** `address:port` of the other end as this host sees it, or undefined. */
  readonly remoteAddress: string | undefined;
  /** A proxy stands in between, and `remoteAddress` is the proxy's. */
  readonly isProxied: boolean;
  /** Milliseconds that an accepted connection had been there when it asked to be one of messages. @default 0 */
  readonly waitedMs?: number;
  /**
   * The other end is a stranger until the function that this gives is called: a connection that brings more than `maxBytes`
   * before is dropped, and so is one that does not take leave within half a second of `close`. To be called before `attach`.
   */
  distrust?(maxBytes: number): () => void;
  /** This end may be asleep while the WebSocket stands; its host answers the text `ping` for it. @default false */
  readonly canSleep?: boolean;
  /** Asks the other end's host by the text `ping`, which does not wake one that sleeps. Absent where no text can be sent. */
  sendIdlePing?(): void;
}

/** How to dial a WebSocket. */
export interface DialOptions {
  /** Gives up, and rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Something that listens. */
export interface Listener {
  /** The bound address as `host:port`, IPv6 hosts in brackets. */
  readonly address: string;
  /** The bound port, never 0. */
  readonly port: number;
  /** Stops accepting; what is open stays open. */
  close(): Promise<void>;
}

/** An address to listen on, or to dial. */
export interface ListenAddress {
  /** IP address without brackets, or a host name. */
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
}

/** What a server knows of a request beside what it says. */
export interface RequestInfo {
  /** `address:port` of the client. */
  readonly remoteAddress: string;
  /** A proxy stands in between, and `remoteAddress` is the proxy's. */
  readonly isProxied: boolean;
}

/** A request for a WebSocket, before anything was answered. */
export interface UpgradeRequest extends RequestInfo {
  /** A field of the request by its name in lower case. */
  readonly field: (name: string) => string | undefined;
}

/** Why a WebSocket is refused. */
export interface UpgradeRefusal {
  /** HTTP status of the answer, 400 to 599. */
  readonly status: number;
  /** Absent: coming back changes nothing. */
  readonly retryAfterSeconds?: number;
}

/** undefined: it is taken. */
export type UpgradeDecision = UpgradeRefusal | undefined;

/** An HTTP server that also accepts mesh WebSockets: the hub's one port, and a sidecar's admin port. */
export interface HttpServerOptions extends ListenAddress {
  /** Answers what is no WebSocket. */
  readonly fetch: (request: Request, info: RequestInfo) => Response | Promise<Response>;
  /** Absent: upgrades are refused. */
  readonly onWebSocket?: (pipe: MessagePipe) => void;
  /** Refuses an upgrade before any state is made, or decides later: nothing is read from it until then. */
  readonly admitWebSocket?: (asked: UpgradeRequest) => UpgradeDecision | Promise<UpgradeDecision>;
  /** Connections at once, of all kinds; more are closed as they come. @default 16_384 */
  readonly maxConnections?: number;
  /**
   * Believe the last element of `Forwarded`, else of `X-Forwarded-For`: right only where every connection comes from a proxy
   * that sets it. @default false
   */
  readonly trustsProxy?: boolean;
}

/** Files that outlive the process. Paths are the platform's; failures are SkeinError SKEIN_STORE. */
export interface Files {
  /** undefined when there is no such file. */
  read(path: string): Promise<Bytes | undefined>;
  /** Writes a new file whole (temporary file, fsync, rename). `mode` defaults to 0o600. */
  replace(path: string, content: Bytes, mode?: number): Promise<void>;
  /** Opens for appending, creating the file with mode 0600 and the folders with 0700. */
  openAppend(path: string): Promise<AppendFile>;
  /** Removes a file; one that is not there is no failure. */
  remove(path: string): Promise<void>;
  /** Makes a folder with mode 0700, and those above it; one that is there is no failure. */
  makeFolder(path: string): Promise<void>;
  /**
   * Claims `path` for this process until `release`, or until the process is gone.
   * @throws SkeinError SKEIN_STORE while another process that lives holds it, whose number is then `details.holder`
   */
  lock(path: string): Promise<FileLock>;
}

/** A claim on a path, held until it is released. */
export interface FileLock {
  /** Gives it up. Idempotent. */
  release(): Promise<void>;
}

/** Keeps values as the runtime itself keeps them, by structured clone: keys too that nothing can read out. */
export interface Vault {
  /** The value under `name`, or undefined. */
  read(name: string): Promise<unknown>;
  /** All of these or none; undefined removes what is there. @throws SkeinError SKEIN_STORE */
  write(entries: Readonly<Record<string, unknown>>): Promise<void>;
  /** Waits until nobody else has claimed this vault, and claims it until `release`, or until the holder is gone. */
  lock(): Promise<FileLock>;
}

/** A file that grows at its end. */
export interface AppendFile {
  /** When it was opened. */
  readonly sizeBytes: number;
  /** Resolves when the bytes are on disk (fsync). */
  append(bytes: Bytes): Promise<void>;
  /** Drops all behind the first `sizeBytes`. */
  truncate(sizeBytes: number): Promise<void>;
  /** Closes it; what was appended is on disk. */
  close(): Promise<void>;
}

/** Where to dial TCP. */
export interface TcpConnectOptions extends ListenAddress {
  /** Milliseconds until a connection attempt fails. @default 10_000 */
  readonly timeoutMs?: number;
}

/** A UDP socket that takes datagrams from anybody. */
export interface DatagramSocket {
  /** The bound address as `host:port`. */
  readonly address: string;
  /** The bound port, never 0. */
  readonly port: number;
  /** Sends one datagram; what cannot be sent is lost, as a datagram may be. */
  send(message: Bytes, to: ListenAddress): void;
  /** Nothing comes any more. */
  close(): void;
}

/** Where to dial, and from where. */
export interface RawConnectOptions extends ListenAddress {
  /**
   * Port at this end; several connections to different places may have the same one. A runtime may ignore it, which shows
   * in `RawConnection.localPort`.
   */
  readonly localPort?: number | undefined;
  /** TLS to this server name. */
  readonly serverName?: string | undefined;
  /** Gives up; until then the attempt goes on as long as the system lets it. */
  readonly signal?: AbortSignal | undefined;
}

/** Who speaks first on a connection is asked for this. */
export interface Doorkeeper {
  /** May the holder of `ticket` have a mesh WebSocket here? */
  admit(ticket: string): boolean;
  /** Text that answers a plain `GET path`, or undefined. */
  answer(path: string): string | undefined;
}

/** A TCP connection on which nothing was said yet. Exactly one of `get`, `upgrade` and `accept` may be called, once. */
export interface RawConnection {
  /** The port at this end. */
  readonly localPort: number;
  /** `address:port` of the other end. */
  readonly remoteAddress: string;
  /**
   * Asks the other end for `GET path` of host `authority`, and stays open. Gives the body of an answer with status 200, text of
   * at most 1 KiB. @throws SkeinError SKEIN_PEER_UNREACHABLE
   */
  get(authority: string, path: string): Promise<string>;
  /** Asks the other end for a mesh WebSocket. @throws SkeinError SKEIN_PEER_UNREACHABLE */
  upgrade(ticket: string): Promise<MessagePipe>;
  /** Lets the other end ask. @throws SkeinError SKEIN_PEER_UNREACHABLE when it is refused or goes away */
  accept(door: Doorkeeper): Promise<MessagePipe>;
  /** Drops it, whatever was made of it. */
  close(): void;
}

/** One address of a network interface of this host. */
export interface LocalAddress {
  /** IPv4 or IPv6 address, without a zone. */
  readonly ip: string;
  /** The interface: `eth0`. */
  readonly name: string;
}

/** TCP as direct paths need it: a say in the local port, and WebSockets over whatever connection came about. */
export interface DirectSockets {
  /** Dials TCP. @throws SkeinError SKEIN_PEER_UNREACHABLE with `details.systemCode`, or the reason of the signal */
  connect(to: RawConnectOptions): Promise<RawConnection>;
  /** Listens for TCP. @throws SkeinError SKEIN_CONFIG */
  listen(at: ListenAddress, onConnection: (connection: RawConnection) => void): Promise<Listener>;
  /** Those of all interfaces that are up, loopback and link-local ones left out. */
  localAddresses(): readonly LocalAddress[];
  /**
   * Something that only processes in the same network namespace of this start of this host can know; undefined where the
   * system offers nothing of the kind.
   */
  hostKey(): Promise<Bytes | undefined>;
  /** Does the system slow down a connection whose two ends opened it at once? BBR does, for 10 s. */
  isSlowAfterCrossing(): Promise<boolean>;
}

/** A document of somebody else's server, as it was answered. */
export interface FetchedDocument {
  /** HTTP status, of whatever class. */
  readonly status: number;
  /** The whole body. */
  readonly body: Bytes;
  /** Of a redirect, as it was sent. */
  readonly location: string | undefined;
}

/** What a runtime lends the mesh. The one of Node, Bun and Deno is `nodePlatform()`; a capability that is missing is undefined. */
export interface Platform {
  /** "node 20.20.2", "bun 1.4.5", … */
  readonly name: string;
  /** Time and timers. */
  readonly clock: Clock;
  /** Chance, for secrets too. */
  readonly random: Random;
  /** Digests, ciphers and key agreement. */
  readonly crypto: Crypto;
  /** Text of one character per byte, as fast as the runtime has it. */
  readonly decodeLatin1: DecodeLatin1;
  /** Opens a mesh WebSocket. @throws SkeinError SKEIN_HUB_UNREACHABLE */
  dialWebSocket(url: string, options?: DialOptions): Promise<MessagePipe>;
  /**
   * GET of a document over HTTP(S), certificates checked, no redirect followed. @throws SkeinError SKEIN_PEER_UNREACHABLE when there
   * is no whole answer of at most `maxBytes` within `timeoutMs`
   */
  getDocument(url: string, limits: { readonly maxBytes: number; readonly timeoutMs: number }): Promise<FetchedDocument>;
  /** Undefined in isolates and browsers. */
  readonly files: Files | undefined;
  /** Vaults by their names, where there are no files. @throws SkeinError SKEIN_STORE */
  readonly openVault?: (name: string) => Promise<Vault>;
  /** Listens for HTTP and mesh WebSockets: what a hub needs. @throws SkeinError SKEIN_CONFIG */
  readonly listenHttp: ((options: HttpServerOptions) => Promise<Listener>) | undefined;
  /** Listens for TCP: what a sidecar needs. @throws SkeinError SKEIN_CONFIG */
  readonly listenTcp:
    | ((at: ListenAddress, onConnection: (stream: ByteStream) => void) => Promise<Listener>)
    | undefined;
  /** Undefined where there is no UDP. @throws SkeinError SKEIN_CONFIG */
  readonly bindUdp:
    | ((at: ListenAddress, onMessage: (message: Bytes, from: ListenAddress) => void) => Promise<DatagramSocket>)
    | undefined;
  /**
   * Dials TCP at once: what is written before the connection stands waits; `onReset` with SKEIN_APP_UNREACHABLE
   * tells of a refused dial. `onConnect` is called when it stands.
   */
  readonly connectTcp: ((to: TcpConnectOptions, onConnect?: () => void) => ByteStream) | undefined;
  /** For direct paths between peers. */
  readonly directSockets: DirectSockets | undefined;
}
