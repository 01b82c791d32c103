/** Manifests in files: one or several YAML (or JSON) documents, read from paths or stdin, written back as YAML. */

import { resolve } from 'node:path';
import { concatBytes, decodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { configError } from './config-issue.ts';
import type { CommandContext } from './context.ts';
import { requireFiles } from './profile.ts';
import { type Locate, parseYamlDocuments } from './yaml.ts';

/** What the hub takes in one call, and more than anybody writes by hand. */
const MAX_FILE_BYTES = 4_194_304;

export interface SourcedManifest {
  readonly file: string;
  /** `policies.yaml#2` */
  readonly source: string;
  readonly manifest: unknown;
  readonly locate: Locate;
}

/** Reads a file, or stdin for `-`. @throws SkeinError SKEIN_CONFIG */
export async function readManifests(context: CommandContext, path: string): Promise<SourcedManifest[]> {
  const name = path === '-' ? 'stdin' : path;
  const bytes =
    path === '-'
      ? await readStdin(context)
      : await requireFiles(context.platform).read(resolve(context.process.workFolder, path));
  if (bytes === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read "${path}": no such file`, {
      details: { remedy: 'Check the path; `-` reads stdin.' },
    });
  }
  if (bytes.length > MAX_FILE_BYTES) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read "${path}": longer than ${MAX_FILE_BYTES} bytes`);
  }
  return parseManifests(name, decodeText(name, bytes));
}

/** @throws SkeinError SKEIN_CONFIG with line and column of what is no YAML */
export function parseManifests(name: string, content: string): SourcedManifest[] {
  const parsed = parseYamlDocuments(content);
  if ('issues' in parsed) throw configError(name, parsed.issues);
  const { documents } = parsed;
  return documents.map(({ value, locate }, i) => ({
    ...{ file: name, source: documents.length === 1 ? name : `${name}#${i + 1}` },
    ...{ manifest: value, locate },
  }));
}

async function readStdin({ process }: CommandContext): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of process.stdin.read()) {
    parts.push(part);
    length += part.length;
    if (length > MAX_FILE_BYTES) break;
  }
  return concatBytes(...parts);
}

function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch (error) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read "${name}": not UTF-8 text`, { cause: error });
  }
}
