/**
 * Two sites behind NAT and a hub, each a Linux network namespace of its own; needs root, iproute2 and nftables.
 *
 *   site a ── router a ──┐
 *    10.81.0.2  masquerade, inbound dropped
 *                        ├── wan (routes, filters nothing) ── hub 203.0.113.2
 *   site b ── router b ──┘
 *    10.82.0.2  masquerade, inbound dropped
 *
 * A site reaches the given ports of the hub and nothing else. Nothing reaches a site.
 */
import { execFileSync } from 'node:child_process';
import process from 'node:process';
import { cpuSecondsOf } from './process.ts';

export type NamespaceName = 'hub' | 'wan' | 'router-a' | 'router-b' | 'site-a' | 'site-b';
export const HUB_ADDRESS = '203.0.113.2';
export const SITE_ADDRESSES = { a: '10.81.0.2', b: '10.82.0.2' } as const;
/** What the hub sees of each site, when masquerading works. */
export const ROUTER_ADDRESSES = { a: '198.51.100.2', b: '192.0.2.2' } as const;

const NAMES: readonly NamespaceName[] = ['hub', 'wan', 'router-a', 'router-b', 'site-a', 'site-b'];
let created = 0;

export class NatLab {
  readonly #prefix: string;
  #open = true;
  readonly #closeAtExit = () => this.close();

  /** @param egressPorts ports of the hub's address that the sites' routers let through */
  constructor(egressPorts: readonly number[]) {
    this.#prefix = `skein-${process.pid.toString(36)}-${created++}`;
    process.on('exit', this.#closeAtExit);
    try {
      this.#build(egressPorts);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The command that starts a program in a namespace. It execs, so the program has the process id of the child. */
  within(name: NamespaceName): readonly string[] {
    return ['ip', 'netns', 'exec', this.#full(name)];
  }

  /** Packets of new connections that a site's router has dropped: from outside, and from the site to what is not the hub. */
  droppedPackets(site: 'a' | 'b'): { readonly inbound: number; readonly outbound: number } {
    const text = this.#run(`router-${site}`, ['nft', '-j', 'list', 'counters']);
    const { nftables } = JSON.parse(text) as { nftables: { counter?: { name: string; packets: number } }[] };
    const packets = (name: string) => nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0;
    return { inbound: packets('inbound'), outbound: packets('outbound') };
  }

  /** Packets between a site and the hub are lost where the expression of nftables holds, until `heal`. */
  lose(site: 'a' | 'b', where: string): void {
    this.#run(`router-${site}`, ['nft', `add rule ip guard faults ${where} drop`]);
  }

  heal(site: 'a' | 'b'): void {
    this.#run(`router-${site}`, ['nft', 'flush chain ip guard faults']);
  }

  /** Ports of a site from which connections to the hub are open. */
  openPorts(site: 'a' | 'b'): readonly number[] {
    const text = this.#run(`site-${site}`, ['ss', '-Htn', 'state', 'established', 'dst', HUB_ADDRESS]);
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => Number(line.trim().split(/\s+/)[2]?.split(':').at(-1)));
  }

  /** Ends what still runs in the namespaces, then removes them. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.off('exit', this.#closeAtExit);
    for (const name of NAMES) {
      try {
        const pids = execFileSync('ip', ['netns', 'pids', this.#full(name)], { stdio: ['ignore', 'pipe', 'ignore'] });
        for (const pid of String(pids).split('\n').filter(Boolean)) killQuietly(Number(pid));
      } catch {
        // The namespace was never made.
      }
      try {
        execFileSync('ip', ['netns', 'del', this.#full(name)], { stdio: 'ignore' });
      } catch {
        // As above.
      }
    }
  }

  #full(name: NamespaceName): string {
    return `${this.#prefix}-${name}`;
  }

  #run(name: NamespaceName, command: readonly string[], input?: string): string {
    return execFileSync('ip', ['netns', 'exec', this.#full(name), ...command], { encoding: 'utf8', input });
  }

  #build(egressPorts: readonly number[]): void {
    for (const name of NAMES) {
      execFileSync('ip', ['netns', 'add', this.#full(name)]);
      this.#run(name, ['ip', 'link', 'set', 'lo', 'up']);
    }
    this.#wire('wan', 'hub', '203.0.113.1/30', 'hub', 'wan', `${HUB_ADDRESS}/30`);
    this.#run('hub', ['ip', 'route', 'add', 'default', 'via', '203.0.113.1']);
    this.#run('wan', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    // The wan knows the way into the sites, so that it is their routers that say no.
    for (const [site, net, gateway] of [
      ['a', '10.81.0.0/24', '198.51.100.1'],
      ['b', '10.82.0.0/24', '192.0.2.1'],
    ] as const) {
      const router = `router-${site}` as const;
      this.#wire('wan', `site-${site}`, `${gateway}/30`, router, 'wan', `${ROUTER_ADDRESSES[site]}/30`);
      this.#run('wan', ['ip', 'route', 'add', net, 'via', ROUTER_ADDRESSES[site]]);
      const own = SITE_ADDRESSES[site].replace(/2$/, '1');
      this.#wire(router, 'lan', `${own}/24`, `site-${site}`, 'eth0', `${SITE_ADDRESSES[site]}/24`);
      this.#run(`site-${site}`, ['ip', 'route', 'add', 'default', 'via', own]);
      this.#run(router, ['ip', 'route', 'add', 'default', 'via', gateway]);
      this.#run(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
      this.#run(router, ['nft', '-f', '-'], routerRules(egressPorts));
    }
  }

  #wire(a: NamespaceName, linkA: string, addressA: string, b: NamespaceName, linkB: string, addressB: string): void {
    const [first, second] = [this.#full(a), this.#full(b)];
    execFileSync('ip', [
      ...['-n', first, 'link', 'add', linkA, 'type', 'veth', 'peer', 'name', linkB, 'netns', second],
    ]);
    for (const [name, link, address] of [
      [a, linkA, addressA],
      [b, linkB, addressB],
    ] as const) {
      this.#run(name, ['ip', 'addr', 'add', address, 'dev', link]);
      this.#run(name, ['ip', 'link', 'set', link, 'up']);
    }
  }
}

function routerRules(egressPorts: readonly number[]): string {
  return `
table ip nat {
  chain post {
    type nat hook postrouting priority 100
    oifname "wan" masquerade
  }
}
table ip guard {
  counter inbound { }
  counter outbound { }
  chain input {
    type filter hook input priority 0; policy accept
    ct state established,related accept
    iifname "wan" counter name inbound drop
  }
  chain faults { }
  chain forward {
    type filter hook forward priority 0; policy drop
    jump faults
    ct state established,related accept
    iifname "lan" oifname "wan" ip daddr ${HUB_ADDRESS} tcp dport { ${egressPorts.join(', ')} } accept
    iifname "wan" counter name inbound drop
    iifname "lan" counter name outbound drop
  }
}
`;
}

function killQuietly(pid: number): void {
  try {
    // Only what still exists: the id was listed a moment ago.
    cpuSecondsOf(pid);
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}
