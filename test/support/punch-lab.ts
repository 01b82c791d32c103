/**
 * Two sites behind NATs of a chosen kind, a hub and a public member, on a link that takes its time; each a network namespace
 * of its own. Needs root, iproute2, nftables and Bun.
 *
 *   site a ── router a ─┐                   ┌─ hub     203.0.113.10
 *   10.1.0.2  198.51.100.2 ── delay link ──┤
 *   site b ── router b ─┘                   └─ public  203.0.113.20
 *   10.2.0.2  192.0.2.2
 */
import { execFileSync } from 'node:child_process';
import process from 'node:process';
import { type Program, startHelper } from './process.ts';
import type { DelayLinkOptions } from './programs/delay-link.ts';

export type Site = 'a' | 'b';
type Place = 'hub' | 'public' | 'router-a' | 'router-b' | 'site-a' | 'site-b';

/**
 * `preserving`: the same outer port for every destination, the inner one where it is free. `symmetric`: another for each.
 * `none`: a firewall and nothing else.
 */
export interface NatKind {
  readonly mapping: 'preserving' | 'symmetric' | 'none';
  /** What a stranger's SYN meets. */
  readonly strangers: 'dropped' | 'reset';
}

/** One-way times between each place and the middle of the link, in milliseconds. */
export interface LabOptions {
  readonly a: NatKind;
  readonly b: NatKind;
  readonly delaysMs?: Readonly<Record<'a' | 'b' | 'hub' | 'public', number>>;
}

export const HUB_IP = '203.0.113.10';
export const PUBLIC_IP = '203.0.113.20';
const ROUTERS = { a: '198.51.100.2', b: '192.0.2.2' } as const;
/** Addresses that a router or a host may get later. */
const OTHER_ROUTERS = { a: '198.51.100.3', b: '192.0.2.3' } as const;
const NETS = { a: '10.1.0', b: '10.2.0' } as const;
const PLACES: readonly Place[] = ['hub', 'public', 'router-a', 'router-b', 'site-a', 'site-b'];
/** A and B 25 ms apart, the hub 15 and 20 from them: its way is the longer one, as it is outside of the lab. */
const DELAYS_MS = { a: 10, b: 15, hub: 5, public: 5 };
let created = 0;

export class PunchLab {
  readonly #prefix = `skein-p${process.pid.toString(36)}-${created++}`;
  readonly #link: Program;
  readonly #outer: Record<Site, string> = { ...ROUTERS };
  #isOpen = true;
  readonly #closeAtExit = (): void => this.close();

  private constructor(delays: Readonly<Record<'a' | 'b' | 'hub' | 'public', number>>) {
    process.on('exit', this.#closeAtExit);
    for (const place of PLACES) {
      execFileSync('ip', ['netns', 'add', this.#full(place)]);
      this.#ip(place, 'link', 'set', 'lo', 'up');
    }
    const options: DelayLinkOptions = {
      nodes: [
        { namespace: this.#full('hub'), device: 'wan', delayMs: delays.hub },
        { namespace: this.#full('public'), device: 'wan', delayMs: delays.public },
        { namespace: this.#full('router-a'), device: 'wan', delayMs: delays.a },
        { namespace: this.#full('router-b'), device: 'wan', delayMs: delays.b },
      ],
      routes: {
        [HUB_IP]: 0,
        [PUBLIC_IP]: 1,
        [ROUTERS.a]: 2,
        [ROUTERS.b]: 3,
        [OTHER_ROUTERS.a]: 2,
        [OTHER_ROUTERS.b]: 3,
        '10.1.0.2': 2,
        '10.2.0.2': 3,
      },
    };
    this.#link = startHelper('delay-link', [JSON.stringify(options)], { runtime: 'bun' });
  }

  static async start({ a, b, delaysMs = DELAYS_MS }: LabOptions): Promise<PunchLab> {
    const lab = new PunchLab(delaysMs);
    try {
      await lab.#link.ready();
      lab.#connect('hub', HUB_IP);
      lab.#connect('public', PUBLIC_IP);
      lab.#nat('a', a);
      lab.#nat('b', b);
      return lab;
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  /** The command that starts a program in a namespace. It execs, so the program has the process id of the child. */
  within(place: Place): readonly string[] {
    return ['ip', 'netns', 'exec', this.#full(place)];
  }

  /** The NAT forgets its connections; what it sees next of them gets another outer port, and so a stranger's answer. */
  remapPorts(site: Site): void {
    this.#masquerade(site, 'to :10000-19999');
    this.#forget(site);
  }

  /** The router gets another outer address, as behind a line that was dialled again. */
  renumber(site: Site): void {
    const router = `router-${site}` as const;
    const [from, to] = [this.#outer[site], this.#outer[site] === ROUTERS[site] ? OTHER_ROUTERS[site] : ROUTERS[site]];
    this.#outer[site] = to;
    this.#ip(router, 'addr', 'del', `${from}/32`, 'dev', 'wan');
    this.#ip(router, 'addr', 'add', `${to}/32`, 'dev', 'wan');
    this.#ip(router, 'route', 'replace', 'default', 'dev', 'wan', 'src', to);
  }

  /** The NAT forgets its connections, and drops what it takes for none in silence. */
  forgetSilently(site: Site): void {
    this.#run(`router-${site}`, ['sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_loose=0']);
    this.#run(`router-${site}`, ['nft', 'insert rule ip guard forward ct state invalid drop']);
    this.#forget(site);
  }

  /** The host of a site gets another address, as one that moves from one network to another. */
  readdress(site: Site): void {
    const [host, net] = [`site-${site}` as const, NETS[site]];
    this.#ip(host, 'addr', 'flush', 'dev', 'eth0');
    this.#ip(host, 'addr', 'add', `${net}.3/24`, 'dev', 'eth0');
    this.#ip(host, 'route', 'replace', 'default', 'via', `${net}.1`);
  }

  /** What goes from site to site directly is lost in silence. */
  loseDirect(): void {
    const peers = [...Object.values(ROUTERS), ...Object.values(OTHER_ROUTERS)].join(', ');
    this.#run('router-a', ['nft', `insert rule ip guard forward ip daddr { ${peers} } drop`]);
    this.#run('router-a', ['nft', `insert rule ip guard forward ip saddr { ${peers} } drop`]);
  }

  /** Ends what still runs in the namespaces, then removes them. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off('exit', this.#closeAtExit);
    this.#link?.signal('SIGKILL');
    for (const place of PLACES) {
      try {
        const pids = execFileSync('ip', ['netns', 'pids', this.#full(place)], { stdio: ['ignore', 'pipe', 'ignore'] });
        for (const pid of String(pids).split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended meanwhile, or the namespace was never made.
      }
      try {
        execFileSync('ip', ['netns', 'del', this.#full(place)], { stdio: 'ignore' });
      } catch {
        // As above.
      }
    }
  }

  #full(place: Place): string {
    return `${this.#prefix}-${place}`;
  }

  #run(place: Place, command: readonly string[], input?: string): void {
    execFileSync('ip', ['netns', 'exec', this.#full(place), ...command], { encoding: 'utf8', input });
  }

  #ip(place: Place, ...words: readonly string[]): void {
    execFileSync('ip', ['-n', this.#full(place), ...words], { encoding: 'utf8' });
  }

  #connect(place: Place, address: string): void {
    this.#ip(place, 'addr', 'add', `${address}/32`, 'dev', 'wan');
    this.#ip(place, 'link', 'set', 'wan', 'mtu', '1400', 'up');
    this.#ip(place, 'route', 'add', 'default', 'dev', 'wan', 'src', address);
  }

  #masquerade(site: Site, how: string): void {
    this.#run(`router-${site}`, ['nft', 'flush chain ip nat post']);
    this.#run(`router-${site}`, ['nft', `add rule ip nat post oifname "wan" meta l4proto tcp masquerade ${how}`]);
  }

  /** Linux drops what it has masqueraded when the device goes down. */
  #forget(site: Site): void {
    const router = `router-${site}` as const;
    this.#ip(router, 'link', 'set', 'wan', 'down');
    this.#ip(router, 'link', 'set', 'wan', 'up');
    this.#ip(router, 'route', 'replace', 'default', 'dev', 'wan', 'src', this.#outer[site]);
  }

  #nat(site: Site, kind: NatKind): void {
    const net = NETS[site];
    const [router, host] = [`router-${site}`, `site-${site}`] as const;
    this.#connect(router, ROUTERS[site]);
    this.#ip(router, 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#full(host));
    this.#ip(router, 'addr', 'add', `${net}.1/24`, 'dev', 'lan');
    this.#ip(router, 'link', 'set', 'lan', 'up');
    this.#ip(host, 'addr', 'add', `${net}.2/24`, 'dev', 'eth0');
    this.#ip(host, 'link', 'set', 'eth0', 'up');
    this.#ip(host, 'route', 'add', 'default', 'via', `${net}.1`);
    this.#run(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    this.#run(router, ['nft', '-f', '-'], rules(kind));
  }
}

function rules({ mapping, strangers }: NatKind): string {
  return `
table ip nat {
  chain post {
    type nat hook postrouting priority 100
    ${mapping === 'none' ? '' : `oifname "wan" masquerade ${mapping === 'symmetric' ? 'fully-random' : ''}`}
  }
}
table ip guard {
  chain input {
    type filter hook input priority 0; policy accept
    ${strangers === 'reset' ? '' : 'iifname "wan" ct state established,related accept\n    iifname "wan" drop'}
  }
  chain forward {
    type filter hook forward priority 0; policy drop
    ct state established,related accept
    iifname "lan" accept
  }
}
`;
}
