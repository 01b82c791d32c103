/** `skein call`: one request through the mesh, with the options that fingers know from curl. */

import { resolve } from 'node:path';
import { PATH_FIELD } from '../../agent/path-field.ts';
import { concatBytes, encodeUtf8 } from '../../core/bytes.ts';
import { tryParseDuration } from '../../core/duration.ts';
import { ERROR_CODES, type ErrorCode, SkeinError } from '../../core/errors.ts';
import { createCallRequest, parseCallTarget } from '../call-request.ts';
import type { CommandSpec } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT, exitCodeOfCode } from '../exit-code.ts';
import { EXPLANATIONS } from '../explanations.ts';
import { joinOnce } from '../joining.ts';
import { findMembership, rememberMembership } from '../membership.ts';
import { requireFiles } from '../profile.ts';
import { ResponseWriter } from '../response-writer.ts';
import { JOIN_OPTIONS } from '../sidecar-options.ts';
import { readSidecarSettings } from '../sidecar-settings.ts';

const DEFAULT_TIMEOUT = '30s';

export const call: CommandSpec = {
  name: 'call',
  summary: 'make one request through the mesh',
  logLevel: 'error',
  args: [
    { form: '<target>', description: 'service[.namespace][:port][/path], or http://service.mesh/path' },
    { form: '[path]', description: 'more of the path' },
  ],
  options: [
    { flags: '-X, --request <method>', description: 'method', fallback: 'GET, or POST with --body', env: false },
    { flags: '-H, --header <field>', description: 'field of the request, name: value', list: true, env: false },
    {
      flags: '-d, --body <text>',
      description: 'body; @file reads a file, @- reads stdin; several are joined by &',
      list: true,
      env: false,
    },
    { flags: '--json <text>', description: 'body that is JSON, like --body', list: true, env: false },
    { flags: '-i, --include', description: "print the answer's status and fields too", env: false },
    { flags: '-I, --head', description: 'ask for the fields only', env: false },
    { flags: '-o, --output <file>', description: "write the answer's body to a file", env: false },
    { flags: '-v, --verbose', description: 'tell on stderr by which way the answer came', env: false },
    { flags: '-f, --fail', description: 'exit with 1 on a status of 400 or more', env: false },
    { flags: '--timeout <duration>', description: 'how long the answer may take', fallback: DEFAULT_TIMEOUT },
    ...JOIN_OPTIONS,
  ],
  examples: [
    ['skein call api/', 'GET /'],
    ['skein call api/orders --json \'{"item":7}\' -i', 'POST with an answer that shows its fields'],
    ['skein call api.shop/report -o report.pdf', 'another namespace, into a file'],
    ['skein call -v api/', 'also by which way the answer came'],
  ],
  async run(context) {
    const { input } = context;
    const [target = '', path] = input.args;
    const settings = await readSidecarSettings(context);
    const url = parseCallTarget(target, path, settings.namespace);
    const timeoutMs = tryParseDuration(input.text('timeout') ?? DEFAULT_TIMEOUT);
    if (!timeoutMs) throw new SkeinError('SKEIN_CONFIG', 'Cannot use --timeout: expected a duration such as 30s');
    const json = input.list('json') ?? [];
    const request = createCallRequest(url, {
      method: input.text('request'),
      fields: input.list('header') ?? [],
      data: await readData(context, [...(input.list('body') ?? []), ...json]),
      json: json.length > 0,
      head: input.flag('head'),
    });
    if (input.flag('verbose')) request.headers.set(PATH_FIELD, '?');
    const writer = new ResponseWriter(context, {
      include: input.flag('include') || input.flag('head'),
      file: input.text('output'),
    });

    const membership = await findMembership(context, { ...settings, services: [], remember: true });
    const signal = AbortSignal.timeout(timeoutMs);
    const mesh = await joinOnce(context, membership, signal);
    try {
      await rememberMembership(context, membership);
      const response = await mesh.fetch(request, { signal });
      const path = response.headers.get(PATH_FIELD);
      if (input.flag('verbose'))
        context.say(`path: ${path === null ? 'none, the mesh itself has answered' : toWords(path)}`);
      await writer.write(response);
      return judge(context, response);
    } finally {
      await mesh.close();
    }
  },
};

/** `relay by ws://127.0.0.1:7000, 1.2 ms there and back` of the field's value. */
function toWords(path: string): string {
  const [, kind, via, how, rttMs] = /^(\w+);via="([^"]*)"(?:;how=(\w+))?;rtt=([\d.]+)$/.exec(path) ?? [];
  if (kind === undefined) return path;
  return `${kind}${how === undefined ? '' : ` (${how})`} by ${via}, ${rttMs} ms there and back`;
}

/** The exit code of an answer; one that the mesh made is explained on stderr. */
function judge({ say, input }: CommandContext, response: Response): number {
  const reason = response.headers.get('x-skein-reason');
  const code = reason === null ? undefined : codeOfReason(reason);
  if (code !== undefined) {
    say(
      `error: the mesh answered ${response.status} (${code})\n  cause: ${EXPLANATIONS[code].cause}\n  remedy: ${EXPLANATIONS[code].fix}`,
    );
    return exitCodeOfCode(code);
  }
  return input.flag('fail') && response.status >= 400 ? EXIT.other : EXIT.done;
}

function codeOfReason(reason: string): ErrorCode | undefined {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  return codes.find((code) => ERROR_CODES[code].reason === reason);
}

async function readData({ platform, process }: CommandContext, parts: readonly string[]): Promise<Uint8Array[]> {
  const data: Uint8Array[] = [];
  for (const part of parts) {
    if (!part.startsWith('@')) {
      data.push(encodeUtf8(part));
    } else if (part === '@-') {
      const chunks: Uint8Array[] = [];
      for await (const chunk of process.stdin.read()) chunks.push(chunk);
      data.push(concatBytes(...chunks));
    } else {
      const content = await requireFiles(platform).read(resolve(process.workFolder, part.slice(1)));
      if (content === undefined) throw new SkeinError('SKEIN_CONFIG', `Cannot read "${part.slice(1)}": no such file`);
      data.push(content);
    }
  }
  return data;
}
