/**
 * Imported before a program of ours (`--import`): watches where its time goes, and writes that to the file PROFILE_TO when it ends. At SIGUSR2 it
 * begins anew, so that the start of the program does not count.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import process from 'node:process';

const { PROFILE_TO: path } = process.env;
/** Between two looks, in microseconds. */
const INTERVAL = 200;

if (path !== undefined) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
  session.post('Profiler.start');
  process.on('SIGUSR2', () => {
    session.post('Profiler.stop');
    session.post('Profiler.start');
  });
  // Answers of the own inspector come before `post` returns.
  process.on('exit', () => {
    session.post('Profiler.stop', (error, result) => {
      if (error === null) writeFileSync(path, JSON.stringify(result.profile));
    });
  });
}
