/** Load of one large body after the other, by curl. */
import { runProgram } from '../../test/support/process.ts';
import type { Contender } from './contender.ts';
import { LARGE_BYTES } from './origin.ts';

export interface Downloads {
  readonly bytes: number;
  /** Time that they took, without the start of curl. */
  readonly seconds: number;
}

/** As many as fit into `seconds`, one at least. @throws Error when one is not whole */
export async function runDownloads(target: Contender, seconds: number): Promise<Downloads> {
  const sum = { bytes: 0, seconds: 0 };
  do {
    const took = await download(target);
    sum.bytes += LARGE_BYTES;
    sum.seconds += took;
  } while (sum.seconds < seconds);
  return sum;
}

async function download({ address, host, name }: Contender): Promise<number> {
  const text = await runProgram('curl', [
    ...['-s', '-o', '/dev/null', '-w', '%{http_code} %{size_download} %{time_total}'],
    ...(host === undefined ? [] : ['-H', `Host: ${host}`]),
    `http://${address}/large`,
  ]);
  const [status, bytes, seconds = 0] = text.split(' ').map(Number);
  if (status !== 200 || bytes !== LARGE_BYTES) throw new Error(`The download through ${name} failed: ${text}`);
  return seconds;
}

export const megabytesPerSecond = ({ bytes, seconds }: Downloads): number => bytes / 1e6 / seconds;
