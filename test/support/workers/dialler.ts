/** A Worker that dials a WebSocket for whoever asks, `GET /?url=ws://…`, and answers with all that happened on it. */
import { SkeinError, workerdPlatform } from '../../../src/workerd.ts';

export interface Dialled {
  /** Lengths of the messages that came. */
  readonly messages: readonly number[];
  readonly closed: { readonly code: number; readonly reason: string };
}

export interface NotDialled {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

// biome-ignore lint/style/noDefaultExport: what a Worker is
export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    try {
      return Response.json(await dial(searchParams.get('url') ?? '', searchParams.get('close')));
    } catch (thrown) {
      if (!(thrown instanceof SkeinError)) throw thrown;
      const { code, message, details } = thrown;
      return Response.json({ code, message, details } satisfies NotDialled);
    }
  },
};

/** @param close after the first message, with this reason */
async function dial(url: string, close: string | null): Promise<Dialled> {
  const pipe = await workerdPlatform().dialWebSocket(url);
  const messages: number[] = [];
  const closed = await new Promise<Dialled['closed']>((resolve) => {
    pipe.attach({
      onMessage: (message) => {
        messages.push(message.length);
        pipe.send(message);
        if (close !== null) pipe.close(4001, close);
      },
      onProgress: () => undefined,
      onClose: (code, reason) => resolve({ code, reason }),
    });
  });
  return { messages, closed };
}
