/**
 * Messages of a `MessageChannel` in tasks of their own, as everywhere but in workerd, where they overtake promises: a virtual clock waits
 * for promises by them.
 */

class Port {
  other: Port | undefined;
  onmessage: ((event: { readonly data: unknown }) => void) | undefined;

  postMessage(data: unknown): void {
    setTimeout(() => this.other?.onmessage?.({ data }), 0);
  }

  close(): void {
    this.other = undefined;
  }
}

class TaskChannel {
  readonly port1 = new Port();
  readonly port2 = new Port();

  constructor() {
    this.port1.other = this.port2;
    this.port2.other = this.port1;
  }
}

export function useTaskChannels(): void {
  globalThis.MessageChannel = TaskChannel as unknown as typeof MessageChannel;
}
