/** `skein lint`: what is wrong with files of routes and policies, or likely so, without a mesh. */

import { type AppProtocol, tryParseAppProtocol } from '../../catalog/endpoint.ts';
import type { ServicePorts } from '../../catalog/mesh-view.ts';
import { DEFAULT_NAMESPACE, tryParseServiceName } from '../../catalog/service.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Finding } from '../checked-sources.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import type { SourcedManifest } from '../manifest.ts';
import { formatJson, outputOption, toPrintable } from '../output.ts';
import { FILE_OPTION, NAMESPACE_OPTION, readSource, sourcePaths } from '../sources.ts';
import type { YamlIssue } from '../yaml.ts';

export const lint: CommandSpec = {
  name: 'lint',
  summary: 'find mistakes in files of routes and policies, without a mesh',
  description:
    'Errors are what the hub would refuse: exit code 1. Warnings are what it takes and is likely a mistake all the same: rules that\n' +
    'no request reaches, weights that are all 0, references to nothing, and the like. Tests of policies are judged by the policies\n' +
    'of the files alone: give all that concern a service.',
  args: [{ form: '[files...]', description: 'the same as --file' }],
  options: [
    FILE_OPTION,
    NAMESPACE_OPTION,
    {
      flags: '--services <names>',
      description:
        'name[.namespace][:port[/protocol]] of the services that there are: what refers to others is warned of,\n' +
        'and what denies by requests where tcp is spoken',
      list: true,
      commas: true,
      env: false,
    },
    { flags: '--strict', description: 'exit with 1 for warnings, too', env: false },
    outputOption(['text', 'json']),
  ],
  examples: [
    ['skein lint -f routes.yaml', 'every issue with its line'],
    ['skein lint *.yaml --services api,api-v2,web --strict', 'before a commit, where the services are known'],
  ],
  async run(context) {
    const { input } = context;
    const findings = await find(context);
    const errors = findings.filter(({ severity }) => severity === 'error').length;
    const warnings = findings.length - errors;
    if (input.text('output') === 'json') await context.print(formatJson(findings));
    else await context.print(findings.map((finding) => format(finding, context)).join(''));
    context.say(`${count(errors, 'error')}, ${count(warnings, 'warning')}`);
    return errors > 0 || (warnings > 0 && input.flag('strict')) ? EXIT.other : EXIT.done;
  },
};

async function find(context: CommandContext): Promise<readonly Finding[]> {
  const services = readServices(context);
  const sources: SourcedManifest[] = [];
  const unread: Finding[] = [];
  for (const path of sourcePaths(context, 'lint')) {
    try {
      sources.push(...(await readSource(context, path)));
    } catch (thrown) {
      unread.push(...toFindings(thrown));
    }
  }
  const { lint: findAll } = await import('../lint.ts');
  return [...unread, ...findAll(sources, services)];
}

function readServices({ input }: CommandContext): ReadonlyMap<string, ServicePorts> | undefined {
  const texts = input.list('services');
  if (texts === undefined) return undefined;
  const services = new Map<string, Map<number, AppProtocol>>();
  for (const text of texts) {
    const [, name = '', port, protocol = 'http'] = /^([^:/]+)(?::(\d{1,5})(?:\/(.*))?)?$/.exec(text) ?? [];
    const key = tryParseServiceName(name, input.text('namespace') ?? DEFAULT_NAMESPACE)?.key;
    const spoken = tryParseAppProtocol(protocol);
    if (key === undefined || spoken === undefined) {
      throw new SkeinError('SKEIN_CONFIG', `Cannot use --services "${text}": not name[.namespace][:port[/protocol]]`);
    }
    const ports = services.get(key) ?? new Map<number, AppProtocol>();
    if (port !== undefined) ports.set(Number(port), spoken);
    services.set(key, ports);
  }
  return services;
}

/** What is no YAML, of a file that is there. */
function toFindings(thrown: unknown): readonly Finding[] {
  const { file, issues } = thrown instanceof SkeinError ? thrown.details : {};
  if (typeof file !== 'string' || !Array.isArray(issues)) throw thrown;
  return issues.map(({ message, place }: YamlIssue) => ({
    ...{ severity: 'error', file, ...(place ?? { line: 1, column: 1 }) },
    ...{ resource: '', path: '', message, rule: 'yaml' },
  }));
}

function format(
  { severity, file, line, column, resource, path, message, rule }: Finding,
  { paint }: CommandContext,
): string {
  const where = [resource, path].filter((part) => part !== '').map((part) => `${toPrintable(part)}: `);
  const what = paint(severity === 'error' ? 'red' : 'yellow', severity);
  return `${toPrintable(file)}:${line}:${column}: ${what}: ${where.join('')}${toPrintable(message)} (${rule})\n`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
