/** Where the helper programs of the benches are. */
import { fileURLToPath } from 'node:url';

/** One of bench/programs, compiled or not, as this file is. */
export function programPath(name: string): string {
  const self = fileURLToPath(import.meta.url);
  return fileURLToPath(new URL(`../programs/${name}${self.slice(self.lastIndexOf('.'))}`, import.meta.url));
}
