/** `Conversation`: two processes of this program that ask each other, by messages that JSON can say. */

import { isErrorCode, SkeinError, toSkeinError } from './errors.ts';

/** What the other end may ask, by name. */
export type Answers = Readonly<Record<string, (query: unknown) => unknown>>;

/** A question has an `ask`, an answer an `id`. */
interface Message {
  readonly ask?: number;
  readonly what?: string;
  readonly query?: unknown;
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: Failure;
}

type Failure = Pick<SkeinError, 'code' | 'message' | 'status' | 'notProcessed' | 'details'>;

interface Asked {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: SkeinError) => void;
}

export class Conversation {
  readonly #send: (message: unknown) => void;
  readonly #answers: Record<string, (query: unknown) => unknown>;
  readonly #asked = new Map<number, Asked>();
  #questions = 0;
  #end: SkeinError | undefined;

  /** @param send takes a message to the other end */
  constructor(send: (message: unknown) => void, answers: Answers) {
    this.#send = send;
    this.#answers = { ...answers };
  }

  /** What the other end may ask from now on, too. */
  answer(answers: Answers): void {
    Object.assign(this.#answers, answers);
  }

  /** @throws SkeinError what the other end says, or why it says nothing any more */
  async ask(what: string, query?: unknown): Promise<unknown> {
    if (this.#end !== undefined) throw this.#end;
    const ask = this.#questions++;
    return new Promise((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      this.#send({ ask, what, query } satisfies Message);
    });
  }

  /** A message from the other end. */
  receive(message: unknown): void {
    const { ask, id, what = '', query, value, error } = message as Message;
    if (ask !== undefined) {
      void this.#answer(ask, what, query);
      return;
    }
    const asked = this.#asked.get(id ?? -1);
    this.#asked.delete(id ?? -1);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(toError(error));
  }

  /** Nothing comes any more. */
  close(error: SkeinError): void {
    this.#end = error;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }

  async #answer(id: number, what: string, query: unknown): Promise<void> {
    try {
      const answer = this.#answers[what];
      if (answer === undefined) throw new SkeinError('SKEIN_INTERNAL', `Cannot answer: nobody knows of "${what}"`);
      const value = await answer(query);
      this.#send({ id, value } satisfies Message);
    } catch (thrown) {
      const { code, message, status, notProcessed, details } = toSkeinError(thrown);
      this.#send({ id, error: { code, message, status, notProcessed, details } } satisfies Message);
    }
  }
}

function toError({ code, message, ...rest }: Failure): SkeinError {
  return new SkeinError(isErrorCode(code) ? code : 'SKEIN_INTERNAL', message, rest);
}
