/** Whom skein is measured against: how to find it on this machine, and how to put two of it in a row. */
import { spawnSync } from 'node:child_process';
import type { Running } from '../kit/contender.ts';
import type { Origin } from '../kit/origin.ts';

export type Found = { readonly command: string; readonly version: string } | { readonly missing: string };

export interface Peer {
  /** "nginx → nginx TLS" */
  readonly name: string;
  find(): Found | Promise<Found>;
  /** Client → proxy 1 → proxy 2 → origin, with the settings its makers recommend, one worker each. */
  start(command: string, origin: Origin): Promise<Running>;
}

/** A command on PATH, with what it prints of its version. */
export function findCommand(command: string, args: readonly string[], remedy: string): Found {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) return { missing: `no ${command} on PATH; ${remedy}` };
  const [version = 'unknown'] = /\d+\.\d+[\w.+-]*/.exec(stdout + stderr) ?? [];
  return { command, version };
}
