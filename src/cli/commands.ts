/** Every command, in the order of the help. */

import type { CommandSpec } from './command.ts';
import { apply } from './commands/apply.ts';
import { audit } from './commands/audit.ts';
import { authzExplain, authzReport } from './commands/authz.ts';
import { call } from './commands/call.ts';
import { check } from './commands/check.ts';
import { remove } from './commands/delete.ts';
import { demo } from './commands/demo.ts';
import { diff } from './commands/diff.ts';
import { explain } from './commands/explain.ts';
import { expose } from './commands/expose.ts';
import { get } from './commands/get.ts';
import { hub } from './commands/hub.ts';
import { keysList, keysRemove, keysRotate } from './commands/keys.ts';
import { lint } from './commands/lint.ts';
import { paths } from './commands/paths.ts';
import { revoke } from './commands/revoke.ts';
import { run } from './commands/run.ts';
import { services } from './commands/services.ts';
import { sidecar } from './commands/sidecar.ts';
import { status } from './commands/status.ts';
import { tokenCreate } from './commands/token.ts';
import { tokenSvid } from './commands/token-svid.ts';

export const COMMANDS: readonly CommandSpec[] = [
  hub,
  tokenCreate,
  tokenSvid,
  audit,
  revoke,
  keysList,
  keysRotate,
  keysRemove,
  sidecar,
  run,
  expose,
  call,
  services,
  status,
  paths,
  check,
  apply,
  get,
  remove,
  diff,
  lint,
  explain,
  authzExplain,
  authzReport,
  demo,
];
