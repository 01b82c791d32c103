/**
 * Uplinks: links to two hubs at once, the first of the list that can be had; the others are spares. One of them is the
 * primary, whose catalogue is followed; circuits go through any. Only a refusal at the start is final.
 */

import { HUB_ROLES, type HubRole } from '../auth/hub-role.ts';
import type { Channel } from '../control/channel.ts';
import type { Timer } from '../core/clock.ts';
import { type ErrorCode, SkeinError, toSkeinError } from '../core/errors.ts';
import type { HubConnection } from './hub-connection.ts';
import { Uplink, type UplinkOptions, type UplinkState } from './uplink.ts';

export interface UplinksOptions extends Omit<UplinkOptions, 'url' | 'owner'> {
  /** The preferred ones first. */
  readonly hubs: readonly string[];
  /** Takes over the catalogue of that hub. Resolves when the hub has told what there is. */
  readonly follow: (connection: HubConnection) => Promise<void>;
  /** Tells that hub what is served here. Resolves when it knows. */
  readonly register: (connection: HubConnection) => Promise<void>;
  /** A hub has come into use. */
  readonly onConnected: (connection: HubConnection) => void;
  /** A hub goes away while another one is in use: what runs over it should move. */
  readonly onLeaving: (connection: HubConnection) => void;
  /** The last hub that was in use is gone. */
  readonly onDisconnected: (error: SkeinError) => void;
  /** A hub says that this member is revoked. */
  readonly onRevoked: (error: SkeinError) => void;
  /** Is a first link to this hub enough to be a member? */
  readonly isEnough: (connection: HubConnection) => boolean;
  /** Would a stream end with the connection? */
  readonly isUsed: (connection: HubConnection) => boolean;
  /** Do streams wait for a hub? */
  readonly isAwaited: () => boolean;
}

/** What is known of one hub. */
export interface HubStatus {
  readonly url: string;
  readonly state: UplinkState;
  /** Its catalogue is followed. */
  readonly isPrimary: boolean;
  /** What it may do for members, as its SVID says; undefined before it has shown it. */
  readonly roles: readonly HubRole[] | undefined;
  /** In milliseconds; 0 while there is no link. */
  readonly rttMs: number;
  /** Why there is no link. */
  readonly error: SkeinError | undefined;
}

/** A hub that comes back soon leaves nothing to tell. */
const MISSING_AFTER_MS = 5_000;
/** Verdicts on this member, or of it on a hub. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_IDENTITY',
  'SKEIN_NAME_NOT_GRANTED',
  'SKEIN_REVOKED',
  'SKEIN_TOKEN_EXPIRED',
  'SKEIN_TOKEN_INVALID',
  'SKEIN_TOKEN_USED',
]);

export class Uplinks {
  /** Resolves when a hub has taken this member for the first time. */
  readonly ready: Promise<void>;
  /** Rejects when this member was refused at the start; never resolves. */
  readonly refused: Promise<never>;
  readonly #options: UplinksOptions;
  readonly #uplinks: readonly Uplink[];
  /** What came of the last dial, if that was a verdict. */
  readonly #refusals = new Map<Uplink, SkeinError>();
  /** By the key that the hub has proven. */
  readonly #byKey = new Map<string, HubConnection>();
  /** Whose catalogue is followed. */
  #followed: HubConnection | undefined;
  #routes: readonly HubConnection[] = [];
  /** As it was told last. */
  #missing: readonly HubRole[] = [];
  #missingTimer: Timer | undefined;
  #isReady = false;
  #isClosed = false;
  #resolveReady: () => void = () => undefined;
  #refuse: (error: SkeinError) => void = () => undefined;

  constructor(options: UplinksOptions) {
    this.#options = options;
    const owner = {
      onHub: (connection: HubConnection) => this.#onHub(connection),
      onUp: (connection: HubConnection) => this.#onUp(connection),
      onConnected: (uplink: Uplink, connection: HubConnection) => this.#onConnected(uplink, connection),
      onRenewed: (connection: HubConnection) => this.#tell(connection, connection === this.#followed),
      onLeaving: (connection: HubConnection) => this.#onLeaving(connection),
      isUsed: options.isUsed,
      isAwaited: options.isAwaited,
      onLost: (_: Uplink, error: SkeinError) => this.#onLost(error),
      onFailed: (uplink: Uplink, error: SkeinError) => this.#onFailed(uplink, error),
      onChange: () => this.#settle(),
    };
    this.#uplinks = [...new Set(options.hubs)].map((url) => new Uplink({ ...options, url, owner }));
    this.ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    this.refused = new Promise((_, reject) => {
      this.#refuse = reject;
    });
    this.refused.catch(() => undefined); // the owner may not be waiting yet
  }

  /** Connections in use: the primary first, those that are silent or should be left last. */
  get routes(): readonly HubConnection[] {
    return this.#routes;
  }

  /** There is a link to every hub that is wanted, and each has held for long: what they do not know of is not there. */
  get areSteady(): boolean {
    return this.#uplinks.every(({ isWanted, isSteady }) => isSteady || !isWanted);
  }

  /** What no hub that is connected does for members. */
  get missingRoles(): readonly HubRole[] {
    return HUB_ROLES.filter((role) => !this.#routes.some((route) => route.plays(role)));
  }

  /** In the order of preference. */
  get status(): readonly HubStatus[] {
    return this.#uplinks.map(({ url, state, roles, knownRoles, connection, lastError }) => ({
      url,
      state,
      roles: knownRoles,
      isPrimary: connection !== undefined && connection === this.#routes[0] && roles.includes('catalogue'),
      rttMs: connection?.rttMs ?? 0,
      error: lastError,
    }));
  }

  start(): void {
    this.#settle();
  }

  /** The hub behind `channel` does not show what the issuer has sealed: another one is followed, if there is one. */
  doubt(channel: Channel): void {
    const connection = this.#routes.find((route) => route.channel === channel);
    if (connection === undefined || connection.isDoubted) return;
    connection.isDoubted = true;
    this.#options.log.log('error', 'hub-doubted', { hub: connection.url });
    this.#settle();
  }

  /** Others are revoked from now on, or a key of the issuer is gone: hubs that this is about must show anew who they are. */
  reconsider(): void {
    for (const uplink of this.#uplinks) {
      const peer = uplink.connection?.peer;
      const why = peer && this.#options.identity.whyNot(peer, 'Cannot use hub');
      // It is not this member that is revoked.
      if (why !== undefined) uplink.drop(new SkeinError('SKEIN_IDENTITY', why.message));
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#missingTimer?.cancel();
    for (const uplink of this.#uplinks) uplink.close();
    this.#routes = [];
  }

  /** A hub holds one link to each member: of two URLs that lead to it the second one would end the first, and the first the second. */
  #onHub(connection: HubConnection): void {
    for (const [key, { isClosed }] of this.#byKey) if (isClosed) this.#byKey.delete(key);
    const { hubKey, url } = connection;
    const other = this.#byKey.get(hubKey);
    if (other !== undefined && other.url !== url) {
      throw new SkeinError('SKEIN_CONFLICT', `Cannot use hub: it is the one at ${other.url}`, {
        details: { sameHub: other.url },
      });
    }
    this.#byKey.set(hubKey, connection);
  }

  async #onUp(connection: HubConnection): Promise<void> {
    // Policies are here before the first caller can be: until there are some, a hub is followed before it tells others of this member.
    const isFirst = !this.#isReady || this.#followed === undefined || this.#followed.isClosed;
    await this.#tell(connection, isFirst && connection.plays('catalogue'));
  }

  async #tell(connection: HubConnection, isFollowed: boolean): Promise<void> {
    const knowsMembers = connection.plays('catalogue') || connection.plays('signal');
    await Promise.all([
      isFollowed ? this.#follow(connection) : undefined,
      knowsMembers ? this.#options.register(connection) : undefined,
    ]);
  }

  #onConnected(uplink: Uplink, connection: HubConnection): void {
    this.#refusals.delete(uplink);
    this.#isReady ||= this.#options.isEnough(connection);
    this.#settle();
    this.#options.onConnected(connection);
    if (this.#isClosed) return;
    this.#options.log.log('info', 'hub-connected', {
      hub: connection.url,
      role: connection === this.#followed ? 'primary' : 'standby',
      ...(connection.roles.length === HUB_ROLES.length ? {} : { roles: connection.roles }),
    });
    if (this.#isReady) this.#resolveReady();
    // There was no other way when these began to leave.
    for (const { state, connection: leaving } of this.#uplinks) {
      if (state === 'leaving' && leaving !== undefined) this.#options.onLeaving(leaving);
    }
  }

  #onLeaving(connection: HubConnection): void {
    this.#settle();
    this.#options.onLeaving(connection);
  }

  #onLost(error: SkeinError): void {
    this.#noteRevoked(error);
    this.#settle();
    if (this.#routes.length === 0 && !this.#isClosed) this.#options.onDisconnected(error);
  }

  #onFailed(uplink: Uplink, error: SkeinError): void {
    const isRefusal = REFUSALS.has(error.code);
    if (isRefusal) this.#refusals.set(uplink, error);
    else this.#refusals.delete(uplink);
    this.#noteRevoked(error);
    const event = isRefusal ? 'hub-refused' : eventOf(error);
    this.#options.log.log('warn', event, {
      hub: uplink.url,
      reason: error.reason,
      error: error.message,
      remedy: error.details.remedy,
      ...(isRefusal ? {} : { retry: 'for ever' }),
    });
    this.#settle();
  }

  #noteRevoked(error: SkeinError): void {
    if (error.code === 'SKEIN_REVOKED' && !this.#isClosed) this.#options.onRevoked(error);
  }

  /** Something has changed: which hubs are wanted, which one is followed, which ones are ways, and whether it is over. */
  #settle(): void {
    if (this.#isClosed) return;
    this.#choose();
    this.#chooseFollowed();
    this.#routes = this.#sortRoutes();
    this.#noteMissing();
    this.#judge();
  }

  /**
   * The first of the list are wanted, with one more for each of them that is not there and not likely to be at once. What
   * stands in for another is left only when that one has held for long: it may come and go.
   */
  #choose(): void {
    // Until there is a member, one after the other is asked: the token is good for one.
    const count = this.#isReady ? this.#options.limits.maxHubs : 1;
    let [promising, steady] = [0, 0];
    const played = new Set<HubRole>();
    for (const uplink of this.#uplinks) {
      // Two hubs that only relay are enough of those, and not enough to be a member.
      const isNeeded = promising < count || uplink.roles.some((role) => !played.has(role));
      if (isNeeded) uplink.want();
      else if (steady >= count || uplink.connection === undefined) uplink.release();
      if (uplink.isPromising) {
        promising++;
        for (const role of uplink.roles) played.add(role);
      }
      if (uplink.isSteady) steady++;
    }
  }

  /** Says once what no hub does for this member, if it stays so; where there is none at all other lines say it. */
  #noteMissing(): void {
    if (this.#missingTimer !== undefined || this.missingRoles.join() === this.#missing.join()) return;
    this.#missingTimer = this.#options.platform.clock.setTimer(MISSING_AFTER_MS, () => {
      this.#missingTimer = undefined;
      if (this.#routes.length === 0) return;
      const missing = this.missingRoles;
      const isNews = missing.join() !== this.#missing.join();
      this.#missing = missing;
      if (!isNews || missing.length === 0) return;
      this.#options.log.log('warn', 'hub-roles-missing', { missing, remedy: 'Name a hub with these roles in --hub.' });
    });
  }

  /** The primary stays the primary until it is worse off than another one. */
  #chooseFollowed(): void {
    const inUse = this.#uplinks.filter(({ connection }) => connection?.plays('catalogue'));
    const current = inUse.find(({ connection }) => connection === this.#followed);
    if (current === undefined && this.#followed?.isClosed === false) return; // it is about to be in use
    const [best] = inUse.sort((a, b) => rankOf(a) - rankOf(b));
    if (best?.connection === undefined || (current !== undefined && rankOf(current) <= rankOf(best))) return;
    const { connection } = best;
    this.#options.log.log('info', 'hub-primary', { hub: connection.url });
    this.#follow(connection).catch((thrown) => {
      if (best.connection === connection) best.drop(toSkeinError(thrown));
    });
  }

  #follow(connection: HubConnection): Promise<void> {
    this.#followed = connection;
    return this.#options.follow(connection);
  }

  #sortRoutes(): HubConnection[] {
    const isOther = ({ connection }: Uplink): number => (connection === this.#followed ? 0 : 1);
    return [...this.#uplinks]
      .sort((a, b) => rankOf(a) - rankOf(b) || isOther(a) - isOther(b))
      .flatMap(({ connection }) => (connection === undefined || connection.isClosed ? [] : [connection]));
  }

  /**
   * Who is refused at the start, and whom no other hub takes at once, would be refused for ever. Who was taken once is not at
   * fault: a clock has jumped, or a hub has another issuer for a while.
   */
  #judge(): void {
    const [refusal] = this.#refusals.values();
    if (refusal === undefined || this.#isReady || this.#uplinks.some(({ isPromising }) => isPromising)) return;
    this.close();
    this.#refuse(refusal);
  }
}

function eventOf({ details }: SkeinError): string {
  if (details.roles !== undefined) return 'hub-lacks-role';
  return details.sameHub === undefined ? 'hub-unreachable' : 'hub-same';
}

/** How well it carries: one that is silent may speak again, one that is left will not. */
function rankOf({ state, connection }: Uplink): number {
  if (state === 'leaving') return 2;
  return connection?.isSilent || connection?.isDoubted ? 1 : 0;
}
