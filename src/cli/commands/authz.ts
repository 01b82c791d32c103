/** `skein authz`: what policies decide and why, and what they have denied, or would have. */

import type { Judge } from '../../agent/explain.ts';
import type { PolicyReport } from '../../agent/policy-report.ts';
import type { AccessExplanation, ExplainedRule } from '../../auth/explain.ts';
import { DEFAULT_NAMESPACE } from '../../catalog/service.ts';
import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openSidecar, SIDECAR_OPTION } from '../admin.ts';
import { asRecord } from '../admin-client.ts';
import { readRequest } from '../asked-request.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import type { SourcedManifest } from '../manifest.ts';
import { formatJson, formatTable, outputOption, type Painter, toPrintable } from '../output.ts';
import { CLAIM_OPTION, FILE_OPTION, NAMESPACE_OPTION, readSource } from '../sources.ts';

export const authzExplain: CommandSpec = {
  name: 'authz explain',
  summary: 'tell whether policies allow a request, by which rule, and what the others miss',
  description:
    'By all policies of the hub, or with --file by those of the files alone. Each rule that concerns the service is listed with the\n' +
    'conditions that do not hold, those that come nearest first. `skein explain` tells where a request goes besides.',
  args: [
    { form: '<from>', description: 'who asks: SPIFFE id, or service account[.namespace]' },
    { form: '<method>', description: 'of the request; - for a connection of bytes' },
    { form: '<target>', description: 'service[.namespace][:port][/path], or http://service.mesh/path' },
  ],
  options: [
    { flags: '-H, --header <field>', description: 'field of the request, name: value', list: true, env: false },
    CLAIM_OPTION,
    outputOption(['text', 'json']),
    FILE_OPTION,
    NAMESPACE_OPTION,
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein authz explain web GET api/admin', 'what the policies of the mesh say'],
    ['skein authz explain web.shop - db:5432 -f policies.yaml', 'a connection, by a file'],
  ],
  async run(context) {
    const { input } = context;
    const [from = '', method = '', target = ''] = input.args;
    const namespace = input.text('namespace') ?? DEFAULT_NAMESPACE;
    const { readCaller, readClaims } = await import('../explainer.ts');
    const caller = readCaller(from, namespace);
    if (caller === undefined) throw new SkeinError('SKEIN_CONFIG', 'Cannot explain: nobody is named');
    const { authority, path, fields } = readRequest(context, method, target);
    const { parseDestination } = await import('../../router/destination.ts');
    const { service, port } = parseDestination(authority, { namespace, allowShort: true });
    const { explainAccess } = await import('../../auth/explain.ts');
    const { authorizer, looks } = await readJudge(context);
    const given = readClaims(input);
    const isLookedFor = looks(service);
    if (given !== undefined && !isLookedFor) {
      context.say(`nobody looks for tokens in requests to ${service}: no RequestAuthentication is for it`);
    }
    const { assumeClaims } = await import('../../auth/match.ts');
    const claims = assumeClaims(given, isLookedFor);
    const http = method === '-' ? undefined : { method, path, host: authority, fields, claims };
    const told = explainAccess(authorizer, { caller, service, port, http });
    const subject = `${caller.uri} ${http === undefined ? `to ${service}:${port}` : `${method} ${service}:${port}${path}`}`;
    const isJson = input.text('output') === 'json';
    await context.print(
      isJson ? formatJson({ caller: caller.uri, ...told }) : formatAccess(subject, told, context.paint),
    );
    return EXIT.done;
  },
};

export const authzReport: CommandSpec = {
  name: 'authz report',
  summary: 'show what policies have denied at a sidecar of late, and what others would have',
  description:
    'By caller, service and rule, as the sidecar of the service has counted it; nothing is kept when it ends. "would-deny" was allowed, and a\n' +
    'shadowDeny rule, a policy of mode audit or a mesh that is not permissive would not; "would-allow" was denied, and a policy of mode\n' +
    'audit would allow it.',
  options: [
    SIDECAR_OPTION,
    {
      flags: '--window <duration>',
      description: 'how far back, in hours that have begun',
      fallback: '24h',
      env: false,
    },
    outputOption(['text', 'json']),
  ],
  examples: [['skein authz report --sidecar 127.0.0.1:9901 --window 1h', 'since an hour ago']],
  async run(context) {
    const { input } = context;
    const address = input.text('sidecar');
    if (address === undefined) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot report: no sidecar is named', {
        details: { remedy: 'Give the admin address of a sidecar with --sidecar, or SKEIN_SIDECAR.' },
      });
    }
    const sidecar = await openSidecar(context, address);
    const answer = await sidecar.get(`/v1/policies?window=${encodeURIComponent(input.text('window') ?? '24h')}`);
    if (!Array.isArray(asRecord(answer).decisions)) {
      throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read answer of the sidecar: no decisions in it');
    }
    const report = answer as PolicyReport;
    await context.print(input.text('output') === 'json' ? formatJson(report) : formatReport(report, context.paint));
    if (report.notListed > 0) context.say(`${report.notListed} streams are not listed: too many callers and rules`);
    return EXIT.done;
  },
};

async function readJudge(context: CommandContext): Promise<Judge> {
  const { judgeOfHub, judgeOfSources } = await import('../explainer.ts');
  const files = context.input.list('file');
  if (files === undefined) return judgeOfHub(context);
  const sources: SourcedManifest[] = [];
  for (const path of files) sources.push(...(await readSource(context, path)));
  return judgeOfSources(sources);
}

function formatAccess(subject: string, { verdict, rules }: AccessExplanation, paint: Painter): string {
  const { allow, rule, shadow, wouldAllow } = verdict;
  const lines = [
    `${subject}: ${allow ? 'allowed' : 'denied'} by ${rule === 'default-deny' ? 'default: no rule allows it' : rule}`,
    ...shadow.map((each) => `would be denied by ${each === 'default-deny' ? 'default' : each}`),
    ...(wouldAllow === undefined ? [] : [`would be allowed by ${wouldAllow}`]),
  ].map(toPrintable);
  const ordered = [...rules].sort((a, b) => a.missing.length - b.missing.length);
  const table =
    ordered.length === 0 ? '' : `\n${formatTable(['rule', 'here', 'what it misses'], ordered.map(toRow), paint)}`;
  return `${lines.join('\n')}\n${table}`;
}

function toRow({ rule, isTrial, matches, missing }: ExplainedRule): string[] {
  const here = `${matches ? 'matches' : 'does not match'}${isTrial ? ', audits only' : ''}`;
  return [rule, here, missing.join(', ')].map(toPrintable);
}

function formatReport({ decisions }: PolicyReport, paint: Painter): string {
  const rows = decisions.map(({ outcome, caller, service, rule, streams, lastAt, lastRequest }) =>
    [outcome, caller, service, rule, String(streams), lastAt, lastRequest ?? ''].map(toPrintable),
  );
  return formatTable(['outcome', 'from', 'to', 'rule', 'streams', 'last', 'last request'], rows, paint);
}
