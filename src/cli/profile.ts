/** What `skein` remembers between commands: the hub last started or joined, and the identities it holds there. */

import { join, resolve } from 'node:path';
import * as v from 'valibot';
import { decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Files, Platform } from '../core/platform.ts';
import type { ProcessPort } from '../core/process.ts';

const profileSchema = v.object({
  /** Where the hub answers, `wss://…`. */
  hub: v.optional(v.string()),
  /** Data folder of a hub started on this machine: its admin token is there. */
  hubData: v.optional(v.string()),
  /** Folder of the identity that `skein call` and `skein run` use. */
  identity: v.optional(v.string()),
});

export type Profile = v.InferOutput<typeof profileSchema>;

/** The profile's folder: `SKEIN_HOME`, or `.skein` in the user's home. */
export function homeFolderOf(process: ProcessPort): string {
  const named = process.env.SKEIN_HOME;
  return named !== undefined && named !== '' ? resolve(process.workFolder, named) : join(process.homeFolder, '.skein');
}

export class ProfileStore {
  readonly folder: string;
  readonly #files: Files;

  constructor(folder: string, files: Files) {
    this.folder = folder;
    this.#files = files;
  }

  /** An unreadable profile is an empty one: it only saves typing. */
  async read(): Promise<Profile> {
    try {
      const content = await this.#files.read(this.#path);
      if (content === undefined) return {};
      const result = v.safeParse(profileSchema, JSON.parse(decodeUtf8(content)));
      return result.success ? result.output : {};
    } catch {
      return {};
    }
  }

  async update(change: Profile): Promise<void> {
    const profile = { ...(await this.read()), ...change };
    await this.#files.makeFolder(this.folder);
    await this.#files.replace(this.#path, encodeUtf8(`${JSON.stringify(profile, undefined, 2)}\n`));
  }

  /** Folder for the identity `service` (`name.namespace`) of the mesh whose issuer has this thumbprint. */
  identityFolder(issuerThumbprint: string, service: string): string {
    return join(this.folder, 'identities', issuerThumbprint.replace(/[^A-Za-z0-9_-]/g, '').slice(0, 16), service);
  }

  get #path(): string {
    return join(this.folder, 'profile.json');
  }
}

export function openProfile(platform: Platform, process: ProcessPort): ProfileStore {
  return new ProfileStore(homeFolderOf(process), requireFiles(platform));
}

export function requireFiles(platform: Platform): Files {
  if (platform.files === undefined) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot run here: this runtime has no files');
  }
  return platform.files;
}
