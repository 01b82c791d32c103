/** The calls that a sidecar makes on its control stream, and what it may ask for. */

import type { Grant } from '../auth/grant.ts';
import { toThumbprint } from '../auth/key-pair.ts';
import type { Wit } from '../auth/svid.ts';
import type { Sha256 } from '../catalog/digest.ts';
import type { CallHandlers } from '../control/channel.ts';
import { measureMessage } from '../control/codec.ts';
import type { CallAnswer, Registration } from '../control/messages.ts';
import { type Bytes, fromBase64Url, toBase64Url } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { answerAudit } from './audit-answers.ts';
import type { TicketAnswer } from './authentication.ts';
import type { HubIssuer } from './issuer.ts';
import type { HubLimits, HubRole } from './options.ts';
import type { Member } from './presence.ts';
import type { Quotas } from './quotas.ts';
import type { Registrations } from './registrations.ts';
import type { Relay, RelayMember } from './relay.ts';
import type { Rendezvous } from './rendezvous.ts';
import type { RevocationBoard } from './revocations.ts';
import { noIssuer } from './standing.ts';
import type { Subscriber } from './subscriber.ts';

/** The parts of the hub that calls reach. */
export interface CallServices {
  readonly roles: ReadonlySet<HubRole>;
  readonly issuer: HubIssuer | undefined;
  /** Verifies the SVID of a member. @throws SkeinError SKEIN_IDENTITY */
  readonly readMember: (wit: string) => Promise<Wit>;
  readonly revocations: Pick<RevocationBoard, 'known' | 'signed'>;
  /** Who is connected here, or to another worker of this hub. */
  readonly find: (instance: string) => RelayMember | undefined;
  readonly registrations: Registrations;
  readonly relay: Relay;
  readonly rendezvous: Rendezvous;
  readonly quotas: Quotas;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly answerAudit: typeof answerAudit;
  readonly limits: HubLimits;
}

/** What a call counts that makes the hub sign, or tell others. */
const COSTLY = 5;

/** The connection a caller speaks from; `join` makes it known to others, once its identity has a SVID. */
export interface Caller {
  readonly id: SpiffeId;
  readonly grant: Grant;
  readonly member: Member;
  readonly subscriber: Subscriber;
  /** Its key, in this session: not who was let in by a ticket, until it asks for another one with a credential. */
  hasProven(): boolean;
  /** By which this hub knows the caller again. @throws SkeinError SKEIN_IDENTITY, SKEIN_REVOKED */
  giveTicket(credential: Bytes | undefined): Promise<TicketAnswer>;
  /** @throws SkeinError SKEIN_CONFLICT */
  join(): void;
  /** The SVID that proves the caller is now good until then. */
  extend(expiresAtMs: number): void;
}

/** @param caller known by the time the first call arrives */
export function createCallHandlers(services: CallServices, caller: () => Caller): CallHandlers {
  const { roles, find, registrations, relay, rendezvous } = services;
  /** Undefined before the first call: who only registers here follows the catalogue of another hub. */
  let watched: readonly string[] | undefined;
  let isEnrolled = false;

  const need = (role: HubRole): Caller => {
    const from = caller();
    if (from.grant.hubRoles !== undefined && role !== 'issuer') {
      throw new SkeinError('SKEIN_REFUSED', 'Cannot answer call: a hub is no member');
    }
    if (!roles.has(role)) throw new SkeinError('SKEIN_REFUSED', `Cannot answer call: this hub does not play "${role}"`);
    if (from.grant.kind === 'newcomer' && !isEnrolled) {
      throw new SkeinError('SKEIN_IDENTITY', 'Cannot answer call: enrol first');
    }
    return from;
  };
  const count = ({ member }: Caller, calls: number): void => member.allowance.takeCalls(calls);
  /** For what lasts longer than a link, or makes that last: a ticket may be stolen, or sealed by who has stolen the key of this hub. */
  const needProof = (from: Caller, action: string): void => {
    if (!from.hasProven()) throw new SkeinError('SKEIN_IDENTITY', `${action}: the caller has to prove its key first`);
  };
  const issue = async (from: Caller): Promise<CallAnswer<'renew'>> => {
    const { id, grant, extend } = from;
    const { issuer } = services;
    count(from, COSTLY);
    if (issuer === undefined) throw noIssuer('Cannot issue SVID');
    from.member.allowance.takeSvid();
    const { wit, expiresAtMs } = await issuer.issueTo({ id, grant });
    // It may have been revoked while its SVID was being signed.
    services.revocations.known.check({ id, grant });
    extend(expiresAtMs);
    return { wit, bundle: issuer.bundle() };
  };
  const updateInterest = ({ id, member, subscriber }: Caller): void => {
    if (watched !== undefined) subscriber.setInterest(watched, registrations.served(member.instance), id.namespace);
  };

  return {
    enrol: async () => {
      const from = caller();
      if (from.grant.kind !== 'newcomer')
        throw new SkeinError('SKEIN_PROTOCOL', 'Cannot enrol: there is an identity already');
      const issued = await issue(from);
      if (!isEnrolled) from.join();
      isEnrolled = true;
      return { ...issued, id: from.id.uri, services: [...from.grant.services] };
    },
    renew: () => {
      const from = need('issuer');
      needProof(from, 'Cannot issue SVID');
      return issue(from);
    },
    present: async ({ wit }) => {
      const from = caller();
      count(from, COSTLY);
      needProof(from, 'Cannot take SVID');
      const { id, publicJwk, expiresAtMs } = await services.readMember(wit);
      if (id.uri !== from.id.uri || (await toThumbprint(publicJwk)) !== from.grant.thumbprint) {
        throw new SkeinError('SKEIN_IDENTITY', 'Cannot take SVID: it is not of the identity of this link');
      }
      services.revocations.known.check(from);
      from.extend(expiresAtMs);
      return {};
    },
    ticket: async ({ credential }) => {
      const from = caller();
      count(from, credential === undefined ? 1 : COSTLY);
      const given = await from.giveTicket(readBytes(credential));
      return { ticket: writeBytes(given.ticket), seconds: given.seconds, credential: writeBytes(given.credential) };
    },
    audit: (asked) => {
      const from = need('issuer');
      count(from, COSTLY);
      if (services.issuer === undefined) throw noIssuer('Cannot tell of audit log');
      return services.answerAudit(services.issuer.audit, services.sha256, from.id.uri, asked);
    },
    token: ({ audience }) => {
      const from = need('issuer');
      count(from, COSTLY);
      if (services.issuer === undefined || from.grant.hubRoles !== undefined) throw noIssuer('Cannot issue token');
      needProof(from, 'Cannot issue token');
      return services.issuer.issueJwt(from.id, from.grant, audience);
    },
    register: (registration) => {
      const isCatalogue = roles.has('catalogue');
      const from = need(isCatalogue ? 'catalogue' : 'signal');
      count(from, COSTLY);
      checkRegistration(registration, from.member, services);
      rendezvous.note(from.member, registration.reach ?? {});
      if (!isCatalogue) return { epoch: 0, revision: 0 };
      registrations.register(from.member.instance, from.id.uri, registration);
      updateInterest(from);
      return registrations.version;
    },
    watch: ({ services: names }) => {
      const from = need('catalogue');
      count(from, 1);
      watched = names;
      updateInterest(from);
      return {};
    },
    resync: () => {
      const from = need('catalogue');
      count(from, COSTLY);
      from.subscriber.resync();
      return {};
    },
    leave: () => {
      const from = need('catalogue');
      count(from, COSTLY);
      registrations.leave(from.member.instance);
      return {};
    },
    openCircuit: ({ instance, circuit }) => {
      relay.open(need('relay').member, find(instance), circuit);
      return {};
    },
    introduce: ({ instance }) => {
      const from = need('signal');
      count(from, 1);
      const target = find(instance);
      return rendezvous.introduce(from.member, target, target !== undefined && relay.joins(from.member, target));
    },
    acceptCircuit: ({ circuit }) => {
      relay.accept(need('relay').member, circuit);
      return {};
    },
  };
}

/** @throws SkeinError SKEIN_PROTOCOL */
function readBytes(text: string | undefined): Bytes | undefined {
  try {
    return text === undefined ? undefined : fromBase64Url(text);
  } catch (cause) {
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read credential: it is not base64url', { cause });
  }
}

function writeBytes(bytes: Bytes | undefined): string | undefined {
  return bytes && toBase64Url(bytes);
}

function checkRegistration(
  registration: Registration,
  member: Member,
  { registrations, quotas, limits }: CallServices,
): void {
  const { maxEndpointBytes, maxServicesPerInstance } = limits;
  if (registration.instance !== member.instance) {
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot register: this session is of another instance');
  }
  const known = registrations.idOf(member.instance);
  if (known !== undefined && known !== member.id.uri) {
    throw new SkeinError('SKEIN_CONFLICT', 'Cannot register: another identity has registered this instance');
  }
  const count = registration.services.length;
  if (count > maxServicesPerInstance) {
    throw quotas.refuse(
      'services',
      `Cannot register ${count} services: at most ${maxServicesPerInstance} of one instance`,
      {
        limit: maxServicesPerInstance,
      },
    );
  }
  for (const served of registration.services) {
    const { service } = served;
    if (!member.grants.has(service)) {
      throw new SkeinError('SKEIN_NAME_NOT_GRANTED', `Cannot register "${service}": the join token did not name it`, {
        details: { service, granted: [...member.grants] },
      });
    }
    const bytes = measureMessage(served);
    if (bytes > maxEndpointBytes) {
      throw new SkeinError('SKEIN_LIMIT', `Cannot register "${service}": ${bytes} bytes with its labels`, {
        details: { service, limitBytes: maxEndpointBytes },
      });
    }
  }
  if (known === undefined) member.allowance.takeInstance();
}
