/** `skein explain`: what would happen to a request and why, as a running sidecar sees it, or by files alone. */

import type { MemberExplanation } from '../../agent/explain.ts';
import { SkeinError } from '../../core/errors.ts';
import { ADMIN_OPTIONS, openSidecar, SIDECAR_OPTION } from '../admin.ts';
import { asRecord } from '../admin-client.ts';
import { type AskedRequest, readRequest } from '../asked-request.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatExplanation } from '../explanation-text.ts';
import type { SourcedManifest } from '../manifest.ts';
import { formatJson, outputOption } from '../output.ts';
import { CLAIM_OPTION, FILE_OPTION, NAMESPACE_OPTION, readSource } from '../sources.ts';

export const explain: CommandSpec = {
  name: 'explain',
  summary: 'tell what would happen to a request, and why',
  description:
    'Of a running sidecar, named by --sidecar, it asks what that would do with the request now: nothing is sent.\n' +
    'Policies of a namespace are known to the sidecars that serve there, and to the hub: with the right to administer it they\n' +
    'are asked for there. With --file it says what the routes and policies of the files would do, whoever serves.',
  args: [
    { form: '<method>', description: 'of the request' },
    {
      form: '<target>',
      description: 'service[.namespace][:port][/path], http://service.mesh/path, or /path with a Host field',
    },
  ],
  options: [
    { flags: '-H, --header <field>', description: 'field of the request, name: value', list: true, env: false },
    {
      flags: '--from <caller>',
      description: 'who asks: SPIFFE id, or service account[.namespace]',
      fallback: 'the sidecar itself; of files, somebody in --namespace',
      env: false,
    },
    CLAIM_OPTION,
    outputOption(['text', 'json']),
    SIDECAR_OPTION,
    FILE_OPTION,
    NAMESPACE_OPTION,
    ...ADMIN_OPTIONS,
  ],
  examples: [
    ['skein explain GET api/orders -H "x-version: two" --sidecar 127.0.0.1:9901', 'what this sidecar would do now'],
    ['skein explain POST api/orders --from web -f routes.yaml', 'what files would do, before they are applied'],
  ],
  async run(context) {
    const { input } = context;
    const [method = '', target = ''] = input.args;
    const request = readRequest(context, method, target);
    const address = input.text('sidecar');
    const isOffline = input.list('file') !== undefined;
    if (!isOffline && address === undefined) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot explain: neither a sidecar nor a file is named', {
        details: { remedy: 'Give the admin address of a sidecar with --sidecar, or SKEIN_SIDECAR, or files with -f.' },
      });
    }
    const told = isOffline ? await explainFiles(context, request) : await askSidecar(context, request, address ?? '');
    await context.print(input.text('output') === 'json' ? formatJson(told) : formatExplanation(told, context.paint));
    return EXIT.done;
  },
};

async function askSidecar(context: CommandContext, request: AskedRequest, address: string): Promise<MemberExplanation> {
  const from = context.input.text('from');
  const { readClaims } = await import('../explainer.ts');
  const claims = readClaims(context.input);
  const sidecar = await openSidecar(context, address);
  const answer = await sidecar.post('/v1/explain', {
    ...request,
    ...(from === undefined ? {} : { from }),
    ...(claims === undefined ? {} : { claims }),
  });
  if (asRecord(asRecord(answer).outcome).kind === undefined) {
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read answer of the sidecar: no outcome in it');
  }
  const told = answer as MemberExplanation;
  if (!told.backends.some(({ sent }, i) => sent !== undefined && told.verdicts[i] === null)) return told;
  const { addVerdictsOfHub } = await import('../explainer.ts');
  return addVerdictsOfHub(context, told);
}

/** What files would do, whoever serves. */
async function explainFiles(context: CommandContext, request: AskedRequest): Promise<MemberExplanation> {
  const sources: SourcedManifest[] = [];
  for (const path of context.input.list('file') ?? []) sources.push(...(await readSource(context, path)));
  const { explainSources } = await import('../explainer.ts');
  return explainSources(context, request, sources);
}
