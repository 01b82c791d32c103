/** The model's schedules as tests: so many for each file, told from which seed on, cut down and printed when one fails. */

import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, it } from 'node:test';
import { effort } from '../effort.ts';
import { type Outcome, runSchedule } from './run.ts';
import { drawSchedule, printSchedule, type Schedule } from './schedule.ts';

/** In all files together. */
const RUNS = effort(10_000);
/** Each test ends well before its timeout, also on a machine ten times slower. */
const RUNS_PER_TEST = 625;
/** Attempts to find a step that the failure does not need. */
const MAX_CUTS = 200;

/** Schedules `part`, `part + parts`, … ; SKEIN_SEED runs that one alone, with SKEIN_RUNS so many from there on. */
export function describeSessionModel(part: number, parts: number): void {
  const { SKEIN_SEED, SKEIN_RUNS } = process.env;
  const first = Number(SKEIN_SEED ?? 1);
  const runs = Number(SKEIN_RUNS ?? (SKEIN_SEED === undefined ? RUNS : 1));
  const seeds = Array.from({ length: runs }, (_, i) => first + i).filter((_, i) => i % parts === part);
  describe(`A session in ${seeds.length} random schedules on a network that breaks`, () => {
    const sum: Record<string, number> = {};
    for (let from = 0; from < seeds.length; from += RUNS_PER_TEST) {
      const some = seeds.slice(from, from + RUNS_PER_TEST);
      it(`loses, doubles and reorders nothing, and tells the truth: seeds ${some[0]} to ${some.at(-1)}`, async () => {
        for (const seed of some) add(sum, await runOrExplain(drawSchedule(seed)));
      });
    }
    it('went through all that may happen', (t) => {
      t.diagnostic(JSON.stringify({ schedules: seeds.length, ...sum }));
      if (seeds.length < 100) return;
      for (const [what, times] of Object.entries(sum)) assert.ok(times > 0, `it never came to ${what}`);
    });
  });
}

/** Counts are added up, what is worst is kept. */
function add(sum: Record<string, number>, outcome: Outcome): void {
  for (const [key, value] of Object.entries(outcome)) {
    sum[key] = key.startsWith('worst') ? Math.max(sum[key] ?? 0, value) : (sum[key] ?? 0) + value;
  }
}

async function runOrExplain(schedule: Schedule): Promise<Outcome> {
  try {
    return await runSchedule(schedule);
  } catch (thrown) {
    const [least, failure] = await cutDown(schedule, thrown as Error);
    const again = `SKEIN_SEED=${schedule.seed} node tools/test.mjs fast model/session`;
    throw new Error(`${failure.message}\nrun again: ${again}\n${printSchedule(least)}`, { cause: failure });
  }
}

/** Leaves out what the failure does not need, step by step. */
async function cutDown(schedule: Schedule, failure: Error): Promise<[Schedule, Error]> {
  let least: [Schedule, Error] = [schedule, failure];
  for (let at = schedule.steps.length - 1, cuts = 0; at >= 0 && cuts < MAX_CUTS; at--, cuts++) {
    const less = { ...schedule, steps: least[0].steps.filter((_, i) => i !== at) };
    try {
      await runSchedule(less);
    } catch (thrown) {
      least = [less, thrown as Error];
    }
  }
  return least;
}
