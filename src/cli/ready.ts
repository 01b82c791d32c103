/** The ready line: the one line on stdout by which a program, or a person, learns where a process listens. */

import type { CommandContext } from './context.ts';

export type Role = 'hub' | 'sidecar' | 'demo';

/** `hub` → `ws://127.0.0.1:7000`, `http` → `http://127.0.0.1:8080`, `tcp:db` → `127.0.0.1:5432` … */
export type Addresses = Readonly<Record<string, string>>;

export function formatReady(context: Pick<CommandContext, 'logFormat'>, role: Role, addresses: Addresses): string {
  if (context.logFormat === 'json') return `${JSON.stringify({ event: 'ready', role, addresses })}\n`;
  const places = Object.entries(addresses).map(([name, address]) => ` ${name}=${address}`);
  return `${role} ready${places.join('')}\n`;
}
