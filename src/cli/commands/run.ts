/** `skein run`: starts a command when the mesh is ready, with the way into the mesh in its environment. */

import { SkeinError } from '../../core/errors.ts';
import { childEnvironment, exitCodeOfSignal, runChild } from '../child.ts';
import type { CommandSpec } from '../command.ts';
import { SIDECAR_OPTIONS } from '../sidecar-options.ts';
import { readSidecarSettings } from '../sidecar-settings.ts';
import { withSidecar } from '../sidecar-start.ts';

const ANY_PORT = { host: '127.0.0.1', port: 0 } as const;

export const run: CommandSpec = {
  name: 'run',
  summary: 'run a command with a sidecar beside it',
  description: 'The command finds the mesh through HTTP_PROXY. Its signals and its exit code are passed on.',
  logLevel: 'warn',
  args: [{ form: '<command...>', description: 'the command and its arguments, behind --' }],
  options: SIDECAR_OPTIONS,
  wrapsProgram: true,
  examples: [
    ['skein run -- curl http://api.mesh/', 'any program that knows HTTP_PROXY'],
    ['skein run --expose web=http://127.0.0.1:3000 -- node server.js', 'an application that serves and calls'],
  ],
  async run(context) {
    const settings = await readSidecarSettings(context);
    const [command = '', ...args] = context.input.args;
    return withSidecar(
      context,
      {
        settings: { ...settings, listenHttp: settings.listenHttp ?? ANY_PORT },
        remember: true,
        // A command that never began has not succeeded: what stands behind && must not follow.
        givenUp: exitCodeOfSignal,
      },
      async ({ addresses }, stopping) => {
        const { http } = addresses;
        if (http === undefined) throw new SkeinError('SKEIN_INTERNAL', 'Cannot run command: there is no HTTP proxy');
        // From here on signals are the command's; at no moment are they nobody's.
        const ended = runChild(context.process, { command, args, env: childEnvironment(context.process.env, http) });
        stopping.release();
        return ended;
      },
    );
  },
};
