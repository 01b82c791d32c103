/** `skein check`: what the network permits — how far this machine comes to each hub, and what its NAT makes of connections. */

import type { HubVerdict } from '../../agent/hub-check.ts';
import type { Identity } from '../../agent/identity.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { SILENT_LOGGER } from '../../core/log.ts';
import { findHub } from '../admin.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT, exitCodeOf } from '../exit-code.ts';
import type { NatReport } from '../nat-check.ts';
import { formatJson, formatTable, outputOption, toPrintable } from '../output.ts';
import type { Step } from '../reachability.ts';
import { JOIN_OPTIONS } from '../sidecar-options.ts';
import { readSidecarSettings, type SidecarSettings } from '../sidecar-settings.ts';

interface HubReport {
  readonly hub: string;
  readonly steps: readonly Step[];
  /** Exit code by this hub alone. */
  readonly exit: number;
}

const HANDSHAKE_MS = 10_000;
/** Where other programs look for a proxy; skein does not. */
const PROXY_VARIABLES = ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'];

export const check: CommandSpec = {
  name: 'check',
  summary: 'tell what the network permits: the way to each hub, and what NAT makes of it',
  description: 'Changes nothing: a token is not used up, an identity in --data is shown to the hub.',
  logLevel: 'error',
  options: [
    outputOption(['table', 'json']),
    ...JOIN_OPTIONS.filter(({ flags }) => !flags.includes('--namespace')),
    { flags: '--config <file>', description: 'a skein.yaml; flags and environment go before it' },
  ],
  examples: [
    ['skein check --hub wss://hub.example.com', 'before anything is set up'],
    ['skein check --hub wss://a.example.com,wss://b.example.com --data ./sidecar', 'as the sidecar with that identity'],
  ],
  async run(context) {
    const settings = await readSidecarSettings(context);
    const hubs = settings.hubs.length > 0 ? settings.hubs : [(await findHub(context, undefined, undefined)).hub];
    const identity = await openIdentity(context, settings);
    const reports: HubReport[] = [];
    for (const hub of hubs) reports.push(await examine(context, hub, identity));
    const reachable = reports.filter(({ exit }) => exit !== EXIT.unreachable).map(({ hub }) => hub);
    const { checkNat } = await import('../nat-check.ts');
    const nat = await checkNat(context.platform, reachable);
    if (context.input.text('output') === 'json') {
      await context.print(formatJson({ runtime: context.platform.name, hubs: reports.map(withoutExit), nat }));
    } else await print(context, reports, nat);
    return Math.max(...reports.map(({ exit }) => exit));
  },
};

/** Nothing is written: the identity as it is, or a newcomer who will not enrol. */
async function openIdentity(
  { platform }: CommandContext,
  { token, knownHub, data }: SidecarSettings,
): Promise<Identity | undefined> {
  const { Identity } = await import('../../agent/identity.ts');
  const renewAfterMs = Number.MAX_SAFE_INTEGER;
  const options = { platform, knownHub, services: [], renewAfterMs, log: SILENT_LOGGER };
  if (data !== undefined) return Identity.open({ ...options, data, token: undefined });
  if (token === undefined) return undefined;
  return Identity.open({ ...options, data: undefined, token });
}

async function examine(context: CommandContext, hub: string, identity: Identity | undefined): Promise<HubReport> {
  const { clock } = context.platform;
  const { checkClock, checkNetwork } = await import('../reachability.ts');
  const proxy = PROXY_VARIABLES.find((name) => (context.process.env[name] ?? '') !== '');
  const steps = await checkNetwork(hub, clock);
  const last = steps.at(-1);
  if (last?.state === 'failed' && last.remedy !== undefined) {
    steps[steps.length - 1] = { ...last, remedy: addHint(last.remedy, proxy) };
    return { hub, steps, exit: EXIT.unreachable };
  }
  const startedMs = clock.monotonicMs();
  // Dialled as a sidecar does it: if the system has refused something, this knows what it means.
  const verdict = await dial(context, hub, identity);
  const ms = Math.round((clock.monotonicMs() - startedMs) * 10) / 10;
  if (verdict instanceof SkeinError) {
    const { remedy, state } = explain(verdict, proxy);
    if (last?.state === 'failed') steps[steps.length - 1] = { ...last, remedy };
    else steps.push({ name: 'skein', state: 'failed', ms, detail: state, remedy });
    return { hub, steps, exit: exitCodeOf(verdict) };
  }
  steps.push({ name: 'skein', state: 'ok', ms, detail: describe(verdict, identity) });
  steps.push(await checkClock(hub, clock));
  if (proxy !== undefined) {
    const detail = `${proxy} is set, and not used: a sidecar dials its hub directly`;
    steps.push({ name: 'proxy', state: 'ok', detail });
  }
  return { hub, steps, exit: EXIT.done };
}

async function dial(
  { platform }: CommandContext,
  hub: string,
  identity: Identity | undefined,
): Promise<HubVerdict | SkeinError> {
  const { checkHub } = await import('../../agent/hub-check.ts');
  const signal = AbortSignal.timeout(HANDSHAKE_MS);
  try {
    return await checkHub(platform, hub, identity, signal);
  } catch (thrown) {
    if (!signal.aborted) return toSkeinError(thrown);
    const remedy = 'Look at the log of the hub, and at what stands between.';
    return new SkeinError('SKEIN_HUB_UNREACHABLE', 'no answer in time', { details: { remedy } });
  }
}

function explain({ message, details }: SkeinError, proxy: string | undefined): { state: string; remedy: string } {
  const remedy = typeof details.remedy === 'string' ? details.remedy : 'See the log of the hub.';
  return { state: message, remedy: addHint(remedy, proxy) };
}

function addHint(remedy: string, proxy: string | undefined): string {
  if (proxy === undefined) return remedy;
  return `${remedy} ${proxy} is set, but skein dials its hub directly: let this machine reach it without that proxy.`;
}

function describe(verdict: HubVerdict, identity: Identity | undefined): string {
  if (verdict === 'admitted') return `takes ${identity?.id.uri}`;
  if (verdict === 'verified') return 'is the hub that the token names; the token was not used';
  return 'speaks it; with --token or --data also whether it takes this machine';
}

async function print(context: CommandContext, reports: readonly HubReport[], nat: NatReport): Promise<void> {
  for (const { hub, steps } of reports) {
    await context.print(`${context.paint('bold', toPrintable(hub))}\n${format(context, steps)}\n`);
  }
  await context.print(`${context.paint('bold', 'direct paths')}\n${format(context, nat.steps)}`);
}

function format({ paint }: CommandContext, steps: readonly Step[]): string {
  const rows = steps.map(({ name, state, ms, detail }) => [name, state, ms === undefined ? '' : `${ms} ms`, detail]);
  const remedies = steps.flatMap(({ name, remedy }) =>
    remedy === undefined ? [] : [`${paint('yellow', 'remedy')} for ${name}: ${toPrintable(remedy)}\n`],
  );
  return formatTable(['step', 'result', 'time', 'what'], rows, paint) + remedies.join('');
}

function withoutExit({ hub, steps }: HubReport): Omit<HubReport, 'exit'> {
  return { hub, steps };
}
