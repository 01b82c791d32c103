/**
 * The identity that workers share where it is kept in no folder: files in the memory of their supervisor, so that one join token
 * is enough for all of them and for those that take their places, and nothing is written to a disk.
 */

import { decodeUtf8, encodeUtf8 } from '../../core/bytes.ts';
import type { Answers, Conversation } from '../../core/conversation.ts';
import type { Files } from '../../core/platform.ts';

/** Stands for a folder. */
export const SUPERVISOR_MEMORY = 'memory of the supervisor';

interface Asked {
  readonly path: string;
  readonly content?: string;
}

/** In a worker: as `files`, but what is in `SUPERVISOR_MEMORY` is there. */
export function askedFiles(files: Files, conversation: Conversation): Files {
  const isThere = (path: string): boolean => path.startsWith(SUPERVISOR_MEMORY);
  const ask = (what: string, query: Asked): Promise<unknown> => conversation.ask(what, query);
  return {
    ...files,
    async read(path) {
      if (!isThere(path)) return files.read(path);
      const content = await ask('read', { path });
      return typeof content === 'string' ? encodeUtf8(content) : undefined;
    },
    async replace(path, bytes, mode) {
      if (!isThere(path)) return files.replace(path, bytes, mode);
      await ask('replace', { path, content: decodeUtf8(bytes) });
    },
    async remove(path) {
      if (!isThere(path)) return files.remove(path);
      await ask('remove', { path });
    },
    async makeFolder(path) {
      if (!isThere(path)) await files.makeFolder(path);
    },
  };
}

/** In the supervisor: the answers to that. */
export function fileAnswers(): Answers {
  const contents = new Map<string, string>();
  return {
    read: (query) => contents.get((query as Asked).path),
    replace: (query) => {
      const { path, content = '' } = query as Asked;
      contents.set(path, content);
    },
    remove: (query) => void contents.delete((query as Asked).path),
  };
}
