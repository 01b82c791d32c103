/** A worker of a hub: a whole hub on the store of its supervisor, at the same port as the others, that relays between its members and theirs. */

import type { Conversation } from '../../core/conversation.ts';
import type { StartedWorker } from '../../core/crew.ts';
import type { Logger } from '../../core/log.ts';
import type { HttpServerOptions, MessagePipe, Platform } from '../../core/platform.ts';
import { createHub } from '../hub.ts';
import type { HubOptions } from '../options.ts';
import { Neighbours } from './neighbours.ts';
import { StoreLine } from './store-line.ts';
import { Trunks } from './trunks.ts';

/** All that a worker of a hub is told at its start. */
export interface HubWorkerStart {
  readonly kind: 'hub';
  /** The first is 0. */
  readonly worker: number;
  readonly options: Omit<HubOptions, 'store' | 'log'>;
  /** Shown by workers to each other. */
  readonly secret: string;
  /** How it logs, for whoever makes the logger. */
  readonly logging: unknown;
}

/** What a worker tells when it is ready. */
export interface HubWorkerReady {
  readonly address: string;
  readonly url: string;
  /** Its name in the store. */
  readonly hub: string;
}

/** What is asked of one worker and is true of all only with what the others answer, by path. */
const GATHERED: Readonly<Record<string, string>> = { '/metrics': 'metrics', '/v1/status': 'status' };

/** Starts the hub that this process is. @throws SkeinError what `createHub` says */
export async function startHubWorker(
  platform: Platform,
  { options, secret }: HubWorkerStart,
  conversation: Conversation,
  log: Logger,
): Promise<StartedWorker> {
  const trunks = new Trunks({
    ...{ platform, log, conversation, secret },
    onBroken: (neighbour) => neighbours.onBroken(neighbour),
  });
  const { clock, random } = platform;
  const neighbours = new Neighbours({
    ...{ clock, random, log, conversation },
    dial: (neighbour) => trunks.dial(neighbour),
  });
  let fetchOwn: HttpServerOptions['fetch'] | undefined;
  const { listenHttp } = platform;
  const within: Platform = {
    ...platform,
    listenHttp:
      listenHttp &&
      ((given) => {
        fetchOwn = given.fetch;
        const onWebSocket = (pipe: MessagePipe): void => {
          conversation.ask('linked', trunks.members + 1).catch(() => undefined); // nothing depends on it
          given.onWebSocket?.(pipe);
        };
        return listenHttp({ ...given, onWebSocket, fetch: gathering(given.fetch, conversation) });
      }),
  };
  const store = await StoreLine.open(conversation);
  conversation.answer({
    announced: (query) => trunks.announced(query),
    joined: (query) => trunks.joined(query),
  });
  await trunks.listen();
  const hub = await createHub(within, { ...options, store, log }, { trunks });
  await neighbours.join({ hub: trunks.own, port: trunks.port });
  const ask = async (path: string): Promise<Response | undefined> => {
    const headers = { host: 'localhost', authorization: `Bearer ${hub.adminToken.reveal()}` };
    return fetchOwn?.(new Request(`http://localhost${path}`, { headers }), {
      remoteAddress: '127.0.0.1:1',
      isProxied: false,
    });
  };
  let ended: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const end = async (work: Promise<void>): Promise<void> => {
    await work;
    neighbours.close();
    trunks.close();
    ended();
  };
  const ready: HubWorkerReady = {
    ...{ address: hub.address, url: hub.url },
    hub: trunks.own,
  };
  return {
    ready,
    answers: {
      drain: () => end(hub.drain()),
      close: () => end(hub.close()),
      closed: () => closed,
      metrics: () => hub.metrics.render(),
      status: async () => (await ask('/v1/status'))?.json(),
    },
  };
}

/** Answers of one worker, with what the others say to the same. */
function gathering(fetch: HttpServerOptions['fetch'], conversation: Conversation): HttpServerOptions['fetch'] {
  return async (request, info) => {
    const reply = await fetch(request, info);
    const what = GATHERED[new URL(request.url).pathname];
    if (what === undefined || !reply.ok || request.method !== 'GET') return reply;
    const gathered = await conversation.ask('gather', { what });
    const body = typeof gathered === 'string' ? gathered : JSON.stringify(gathered);
    return new Response(body, { status: reply.status, headers: reply.headers });
  };
}
