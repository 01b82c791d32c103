/** Every command, in the order of the help. */

import type { CommandSpec } from './command.ts';
import { apply } from './commands/apply.ts';
import { remove } from './commands/delete.ts';
import { get } from './commands/get.ts';
import { tokenCreate } from './commands/token.ts';

export const COMMANDS: readonly CommandSpec[] = [tokenCreate, apply, get, remove];
