/**
 * A small Internet: one TUN device in each of some network namespaces, and packets between them that take their time. Runs on
 * Bun, whose FFI reaches the three system calls that no runtime's API has (setns, ioctl, poll); kernels without
 * sch_netem can delay nothing themselves. Argument: JSON of `DelayLinkOptions`. It runs until it is killed.
 */

/** What one end of the link is. */
export interface DelayLinkNode {
  /** Name of the namespace, as `ip netns` knows it. */
  readonly namespace: string;
  /** Name of the TUN device that is made there. */
  readonly device: string;
  /** Half the way: a packet takes the sum of its sender's and its receiver's. */
  readonly delayMs: number;
}

export interface DelayLinkOptions {
  readonly nodes: readonly DelayLinkNode[];
  /** IPv4 address → index of the node where it is. */
  readonly routes: Readonly<Record<string, number>>;
}

type Pointer = unknown;
interface Libc {
  open(path: Pointer, flags: number): number;
  setns(fd: number, kind: number): number;
  ioctl(fd: number, request: number, argument: Pointer): number;
  poll(fds: Pointer, count: number, timeoutMs: number): number;
  read(fd: number, into: Pointer, bytes: number): bigint;
  write(fd: number, from: Pointer, bytes: number): bigint;
}

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const TUNSETIFF = 0x400454ca;
const IFF_TUN_NO_PI = 0x1001;
const POLLIN = 1;
const MAX_PACKET = 65_536;
/** `poll` counts in whole milliseconds. */
const IDLE_MS = 1_000;

const { dlopen, ptr } = (await import('bun:ffi' as string)) as {
  dlopen(name: string, symbols: object): { readonly symbols: Libc };
  ptr(bytes: Uint8Array): Pointer;
};
const libc = dlopen('libc.so.6', {
  open: { args: ['ptr', 'i32'], returns: 'i32' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' },
  poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
  read: { args: ['i32', 'ptr', 'u64'], returns: 'i64' },
  write: { args: ['i32', 'ptr', 'u64'], returns: 'i64' },
}).symbols;

function check(result: number, what: string): number {
  if (result < 0) throw new Error(`Cannot ${what}`);
  return result;
}

const text = (value: string): Pointer => ptr(Buffer.from(`${value}\0`));

function openTun({ namespace, device }: DelayLinkNode, home: number): number {
  const inside = check(libc.open(text(`/var/run/netns/${namespace}`), 0), `open namespace ${namespace}`);
  check(libc.setns(inside, 0), `enter namespace ${namespace}`);
  const tun = check(libc.open(text('/dev/net/tun'), O_RDWR | O_NONBLOCK), 'open /dev/net/tun');
  const request = Buffer.alloc(40);
  request.write(device);
  request.writeUInt16LE(IFF_TUN_NO_PI, 16);
  check(libc.ioctl(tun, TUNSETIFF, ptr(request)), `make device ${device}`);
  check(libc.setns(home, 0), 'come back');
  return tun;
}

interface UnderWay {
  readonly dueMs: number;
  readonly to: number;
  readonly packet: Uint8Array;
}

const { nodes, routes } = JSON.parse(process.argv[2] ?? '') as DelayLinkOptions;
const home = check(libc.open(text('/proc/self/ns/net'), 0), 'open own namespace');
const tuns = nodes.map((node) => openTun(node, home));
/** One queue for each pair, in which packets are in order; the due ones of all are few. */
const queues = new Map<number, UnderWay[]>();
const pollFds = Buffer.alloc(8 * tuns.length);
for (const [index, tun] of tuns.entries()) {
  pollFds.writeInt32LE(tun, index * 8);
  pollFds.writeInt16LE(POLLIN, index * 8 + 4);
}
const buffer = Buffer.alloc(MAX_PACKET);

function take(from: number): void {
  for (;;) {
    const length = Number(libc.read(tuns[from] as number, ptr(buffer), MAX_PACKET));
    if (length <= 0) return;
    if ((buffer[0] as number) >> 4 !== 4) continue;
    const to = routes[buffer.subarray(16, 20).join('.')];
    if (to === undefined) continue;
    const delayMs = (nodes[from]?.delayMs ?? 0) + (nodes[to]?.delayMs ?? 0);
    const key = from * nodes.length + to;
    const queue = queues.get(key) ?? [];
    queues.set(key, queue);
    queue.push({ dueMs: performance.now() + delayMs, to, packet: Uint8Array.from(buffer.subarray(0, length)) });
  }
}

process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'link', addresses: {} })}\n`);
for (;;) {
  let waitMs = IDLE_MS;
  const nowMs = performance.now();
  for (const queue of queues.values()) {
    while (queue[0] !== undefined && queue[0].dueMs <= nowMs) {
      const { to, packet } = queue.shift() as UnderWay;
      libc.write(tuns[to] as number, ptr(packet), packet.length);
    }
    if (queue[0] !== undefined) waitMs = Math.min(waitMs, queue[0].dueMs - nowMs);
  }
  libc.poll(ptr(pollFds), tuns.length, Math.max(0, Math.floor(waitMs)));
  for (let index = 0; index < tuns.length; index++) take(index);
}
