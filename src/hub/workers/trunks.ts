/**
 * Trunks: the links from a worker of a hub to all others, on which circuits between members of different workers run. Each worker joins its
 * own half of such a circuit, as blindly as any: to its relay the member at the other worker is one whose link is the trunk.
 */

import type { Push, PushName } from '../../control/messages.ts';
import { encodeUtf8, equalBytes } from '../../core/bytes.ts';
import type { Conversation } from '../../core/conversation.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Listener, MessagePipe, Platform } from '../../core/platform.ts';
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts';
import { toWireCode } from '../../tunnel/codes.ts';
import { Link } from '../../tunnel/link.ts';
import type { Presence } from '../presence.ts';
import type { Registrations } from '../registrations.ts';
import type { Relay, RelayMember } from '../relay.ts';
import type { Rendezvous } from '../rendezvous.ts';

/** What a hub lends those that bring it together with its other workers. */
export interface HubInside {
  /** Name of this hub in the store. */
  readonly own: string;
  readonly relay: Relay;
  readonly presence: Presence;
  readonly registrations: Registrations;
  readonly rendezvous: Rendezvous;
}

/** Where another worker takes trunks. */
export interface Neighbour {
  /** Its name in the store. */
  readonly hub: string;
  readonly port: number;
}

/** A circuit that is announced to another worker. */
interface Announcement {
  readonly from: string;
  readonly circuit: number;
  readonly target: string;
  readonly instance: string;
  readonly id: string;
  readonly ip?: string;
}

/** What became of it. */
interface Joined {
  readonly from: string;
  readonly circuit: number;
  readonly ip?: string;
}

export interface TrunksOptions {
  readonly platform: Platform;
  readonly log: Logger;
  readonly conversation: Conversation;
  /** Shown by workers of this hub to each other. */
  readonly secret: string;
  /** A trunk that this worker has dialled has ended by itself. */
  readonly onBroken?: (neighbour: Neighbour) => void;
}

const LOOPBACK = '127.0.0.1';
/** All members of one worker talk to those of another on one link. */
const LIMITS = {
  maxCircuits: 65_536,
  linkWindowBudgetBytes: 256 * 1024 * 1024,
  maxOutstandingBytes: 1024 * 1024,
} as const;
/** Members of others that are remembered at each trunk. */
const MAX_REMEMBERED = 16_384;
const NORMAL = 1000;
/** Whoever is on this machine can connect; a worker shows the secret at once. */
const PROOF_MS = 5_000;
const MAX_UNPROVEN = 64;

/** Nobody is counted twice: the worker that has the member's own link does it. */
const UNCOUNTED: RelayMember['allowance'] = {
  takeCircuit: () => () => undefined,
  keepCircuit: () => () => undefined,
  relayed: (circuit, bytes) => circuit.consumed(bytes),
};

class Trunk {
  readonly hub: string;
  readonly link: Link;
  readonly members = new Map<string, DistantMember>();
  /** To whom circuits are announced that nobody has taken yet. */
  readonly announced = new Map<number, DistantMember>();

  constructor(hub: string, link: Link) {
    this.hub = hub;
    this.link = link;
  }
}

/** A member of another worker. */
class DistantMember implements RelayMember {
  readonly allowance = UNCOUNTED;
  readonly instance: string;
  readonly id: SpiffeId;
  readonly link: Link;
  readonly channel: RelayMember['channel'];
  observedIp: string | undefined;
  onJoined: ((circuit: number, target: RelayMember) => void) | undefined;

  constructor(instance: string, id: SpiffeId, link: Link, announce: (push: Push<'circuit'>) => void) {
    this.instance = instance;
    this.id = id;
    this.link = link;
    this.channel = {
      push: <N extends PushName>(_: N, push: Push<N>) => announce(push as Push<'circuit'>),
      close: () => undefined,
    };
  }
}

export class Trunks {
  readonly #options: TrunksOptions;
  readonly #trunks = new Map<string, Trunk>();
  #inside: HubInside | undefined;
  #listener: Listener | undefined;
  /** Who has not shown the secret yet, the oldest first; each with what ends it. */
  readonly #unproven = new Set<() => void>();
  #isClosed = false;

  constructor(options: TrunksOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get own(): string {
    return this.#inside?.own ?? '';
  }

  /** Members with a link to this worker. */
  get members(): number {
    return this.#inside?.presence.size ?? 0;
  }

  /** The hub has come about, and takes nobody yet. */
  attach(inside: HubInside): void {
    this.#inside = inside;
  }

  async listen(): Promise<void> {
    const { directSockets, clock } = this.#options.platform;
    if (directSockets === undefined) throw new SkeinError('SKEIN_CONFIG', 'Cannot start worker: it cannot listen');
    this.#listener = await directSockets.listen({ host: LOOPBACK, port: 0 }, (connection) => {
      let hub: string | undefined;
      const timer = clock.setTimer(PROOF_MS, end);
      const leave = (): void => {
        timer.cancel();
        this.#unproven.delete(end);
      };
      function end(): void {
        leave();
        connection.close();
      }
      // A flood of strangers must not keep out who comes last, and shows it at once.
      const [oldest] = this.#unproven;
      if (this.#unproven.size >= MAX_UNPROVEN) oldest?.();
      this.#unproven.add(end);
      connection
        .accept({
          admit: (ticket) => {
            const [secret, name] = ticket.split('.');
            hub = name;
            return equalBytes(encodeUtf8(secret ?? ''), encodeUtf8(this.#options.secret));
          },
          answer: () => undefined,
        })
        .then(
          (pipe) => {
            leave();
            return this.#add(hub ?? '', pipe);
          },
          leave, // a stranger on this machine
        )
        .catch(() => undefined); // the link tells of its end itself
    });
  }

  /** @throws SkeinError SKEIN_PEER_UNREACHABLE */
  async dial(neighbour: Neighbour): Promise<void> {
    const { hub, port } = neighbour;
    const { platform, secret } = this.#options;
    const connection = await platform.directSockets?.connect({ host: LOOPBACK, port });
    if (connection === undefined) return;
    await this.#add(hub, await connection.upgrade(`${secret}.${this.own}`), neighbour);
  }

  /** A member that another worker holds; undefined when none is known to. */
  find(instance: string): DistantMember | undefined {
    const { registrations } = this.#insideOrThrow();
    const held = registrations.heldBy(instance);
    const trunk = held === undefined ? undefined : this.#trunks.get(held.hub);
    if (held === undefined || trunk === undefined) return undefined;
    return this.#memberOf(trunk, instance, held.id);
  }

  /** Another worker announces a circuit to one of the members here. @throws SkeinError SKEIN_NO_ENDPOINT */
  announced(query: unknown): void {
    const { from, circuit, target, instance, id, ip } = query as Announcement;
    const { relay, presence } = this.#insideOrThrow();
    const trunk = this.#trunks.get(from);
    if (trunk === undefined) throw new SkeinError('SKEIN_NO_ENDPOINT', 'Cannot open circuit: there is no trunk');
    const caller = this.#memberOf(trunk, instance, id);
    caller.observedIp = ip;
    relay.open(caller, presence.get(target), circuit);
  }

  /** A member there has taken the circuit that was announced to it. */
  joined(query: unknown): void {
    const { from, circuit, ip } = query as Joined;
    const trunk = this.#trunks.get(from);
    const target = trunk?.announced.get(circuit);
    if (trunk === undefined || target === undefined) throw gone();
    trunk.announced.delete(circuit);
    target.observedIp = ip;
    this.#insideOrThrow().relay.accept(target, circuit);
  }

  close(): void {
    this.#isClosed = true;
    this.#listener?.close().catch(() => undefined);
    for (const { link } of this.#trunks.values()) link.close(NORMAL, 'closing');
  }

  /** @param dialled whom, if it was dialled */
  async #add(hub: string, pipe: MessagePipe, dialled?: Neighbour): Promise<void> {
    const { platform, log, onBroken } = this.#options;
    const { clock, random } = platform;
    const link = new Link(pipe, {
      ...{ role: dialled === undefined ? 'acceptor' : 'dialler', clock, random, limits: LIMITS },
      onClose: (error) => {
        log.log('info', 'trunk-closed', { hub, error: error.message });
        if (this.#trunks.get(hub)?.link !== link) return;
        this.#trunks.delete(hub);
        if (dialled !== undefined && !this.#isClosed) onBroken?.(dialled);
      },
    });
    const before = this.#trunks.get(hub);
    this.#trunks.set(hub, new Trunk(hub, link));
    before?.link.close(NORMAL, 'another one');
    await link.ready;
    log.log('debug', 'trunk-open', { hub });
  }

  #memberOf(trunk: Trunk, instance: string, id: string): DistantMember {
    const { members, announced, link, hub } = trunk;
    const known = members.get(instance);
    if (known?.id.uri === id) return known;
    const tell = (what: string, query: Announcement | Joined): Promise<unknown> =>
      this.#options.conversation.ask('tell', { hub, what, query });
    const close = (circuit: number, thrown: unknown): void => {
      announced.delete(circuit);
      link.circuit(circuit)?.close(toWireCode(toSkeinError(thrown).code));
    };
    const member: DistantMember = new DistantMember(instance, parseSpiffeId(id), link, (push) => {
      const { circuit, instance: caller, id: callerId } = push;
      for (const each of announced.keys()) if (link.circuit(each) === undefined) announced.delete(each);
      announced.set(circuit, member);
      const ip = this.#inside?.presence.get(caller)?.observedIp;
      const about = { from: this.own, circuit, target: instance, instance: caller, id: callerId };
      tell('announced', { ...about, ...(ip === undefined ? {} : { ip }) }).catch((thrown) => close(circuit, thrown));
    });
    member.onJoined = (circuit, { observedIp: ip }) => {
      const about = { from: this.own, circuit };
      tell('joined', { ...about, ...(ip === undefined ? {} : { ip }) }).catch((thrown) => close(circuit, thrown));
    };
    if (members.size >= MAX_REMEMBERED) {
      const [oldest] = members.keys();
      if (oldest !== undefined) members.delete(oldest);
    }
    members.set(instance, member);
    return member;
  }

  #insideOrThrow(): HubInside {
    if (this.#inside === undefined) throw gone();
    return this.#inside;
  }
}

function gone(): SkeinError {
  return new SkeinError('SKEIN_CANCELLED', 'Cannot go on with circuit: the caller has gone');
}
