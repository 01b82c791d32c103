/** The command in its parts, for profiles: `bin/skein` runs it as one bundle, in which folders and packages cannot be told apart. */
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { main } from '../../src/cli/main.ts';

setFlagsFromString('--no-allocation-site-pretenuring'); // as bin/skein does
process.exitCode = await main(process.argv.slice(2), 'profile');
