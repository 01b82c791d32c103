/** Every command, in the order of the help. */

import type { CommandSpec } from './command.ts';
import { apply } from './commands/apply.ts';
import { call } from './commands/call.ts';
import { remove } from './commands/delete.ts';
import { get } from './commands/get.ts';
import { hub } from './commands/hub.ts';
import { services } from './commands/services.ts';
import { status } from './commands/status.ts';
import { tokenCreate } from './commands/token.ts';

export const COMMANDS: readonly CommandSpec[] = [hub, tokenCreate, call, services, status, apply, get, remove];
