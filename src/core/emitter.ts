/** Typed events: one null check when nobody listens, so that a fact costs nothing until somebody asks for it. */

export type Listener<T> = (fact: T) => void;

export class Emitter<Events extends object> {
  readonly #listeners: { [K in keyof Events]?: Listener<Events[K]>[] } = {};

  /** Adds a listener and returns the function that removes it. */
  on<K extends keyof Events>(event: K, listener: Listener<Events[K]>): () => void {
    this.#listeners[event] = [...(this.#listeners[event] ?? []), listener];
    return () => {
      this.#listeners[event] = this.#listeners[event]?.filter((other) => other !== listener);
    };
  }

  emit<K extends keyof Events>(event: K, fact: Events[K]): void {
    const listeners = this.#listeners[event];
    if (listeners !== undefined) for (const listener of listeners) listener(fact);
  }
}
