/** Two processes that ask each other: answers find their questions, failures keep their meaning, an end is told to who waits. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { type Answers, Conversation } from '../../../src/core/conversation.ts';
import { SkeinError } from '../../../src/core/errors.ts';

/** Both ends, with all that passes between them as JSON. */
function connect(here: Answers, there: Answers): { here: Conversation; there: Conversation } {
  const pass = (message: unknown): unknown => JSON.parse(JSON.stringify(message));
  const ends = {
    here: new Conversation((message) => queueMicrotask(() => ends.there.receive(pass(message))), here),
    there: new Conversation((message) => queueMicrotask(() => ends.here.receive(pass(message))), there),
  };
  return ends;
}

test('Both ends ask at once, and each answer finds its question', async () => {
  const { here, there } = connect(
    { add: (n) => Number(n) + 1 },
    { add: async (n) => Number(n) + 10, nothing: () => undefined },
  );
  deepEqual(await Promise.all([here.ask('add', 1), here.ask('add', 2), there.ask('add', 3), here.ask('nothing')]), [
    11,
    12,
    4,
    undefined,
  ]);
});

test('A failure keeps its code, status, words and details; an unknown question is one', async () => {
  const failure = new SkeinError('SKEIN_BAD_REQUEST', 'Cannot do it', {
    status: 413,
    details: { remedy: 'Ask less.' },
  });
  const { here } = connect(
    {},
    { fail: () => Promise.reject(failure), crash: () => Promise.reject(new TypeError('x')) },
  );
  const { code, message, status, details } = failure;
  await rejects(here.ask('fail'), { code, message, status, details });
  await rejects(here.ask('crash'), { code: 'SKEIN_INTERNAL' });
  await rejects(here.ask('what'), { code: 'SKEIN_INTERNAL' });
});

test('Who waits when the other end is gone hears of it, and so does who asks later', async () => {
  const gone = new SkeinError('SKEIN_INTERNAL', 'Cannot ask: it is gone');
  const { here } = connect({}, { never: () => new Promise(() => undefined) });
  const waiting = here.ask('never');
  here.close(gone);
  await rejects(waiting, gone);
  await rejects(here.ask('never'), gone);
  // An answer that nobody waits for does no harm.
  equal(here.receive({ id: 0, value: 1 }), undefined);
});
