/** Manifests in files: one or several YAML (or JSON) documents, read from paths or stdin, written back as YAML. */

import { resolve } from 'node:path';
import { LineCounter, parseAllDocuments, stringify } from 'yaml';
import { concatBytes, decodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { configError } from './config.ts';
import type { CommandContext } from './context.ts';
import { requireFiles } from './profile.ts';

/** What the hub takes in one call, and more than anybody writes by hand. */
const MAX_FILE_BYTES = 4_194_304;
const MAX_ALIASES = 100;

export interface SourcedManifest {
  /** `policies.yaml#2` */
  readonly source: string;
  readonly manifest: unknown;
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
  const lineCounter = new LineCounter();
  const parsed = parseAllDocuments(content, { lineCounter, uniqueKeys: true, prettyErrors: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  const errors = documents.flatMap((document) => document.errors);
  if (errors.length > 0) {
    throw configError(
      name,
      errors.map(({ message, pos }) => {
        const { line, col } = lineCounter.linePos(pos[0]);
        return { path: `line ${line}, column ${col}`, message };
      }),
    );
  }
  const manifests: SourcedManifest[] = [];
  for (const document of documents) {
    let manifest: unknown;
    try {
      manifest = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      throw configError(name, [{ path: '', message: error instanceof Error ? error.message : String(error) }]);
    }
    // `---` at the end, or a document of comments.
    if (manifest === null || manifest === undefined) continue;
    manifests.push({ source: documents.length === 1 ? name : `${name}#${manifests.length + 1}`, manifest });
  }
  return manifests;
}

export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
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
