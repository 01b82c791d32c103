/** What a suite opens and must not leave behind. */
import { after } from 'node:test';

interface Closable {
  close(): void | Promise<void>;
}

/** To be called in a suite: gives what notes each thing that is opened, and closes them behind the last test, the newest first. */
export function createKeep(): <T extends Closable>(each: T) => T {
  const open: Closable[] = [];
  after(async () => {
    for (const each of open.reverse()) await each.close();
  });
  return (each) => {
    open.push(each);
    return each;
  };
}
