/** `node client.js '{"kind":"http",…}'`: runs one load (load.ts) where it is started and prints the result as JSON. */
import process from 'node:process';
import { type Load, runLoad } from '../load.ts';

const result = await runLoad(JSON.parse(process.argv[2] ?? '') as Load);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
