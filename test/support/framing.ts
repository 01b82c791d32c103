/** One HTTP exchange, whichever version each end speaks: what a caller says, what an application reads and answers, byte for byte. */

import { equal, match } from 'node:assert/strict';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import type { Fields } from '../../src/http/head.ts';
import { H2Peer } from './h2-peer.ts';
import { Conversation, startTcpApp } from './local-sidecars.ts';

/** How a body is delimited: `bare` by nothing but the end of its connection or stream. */
export type Framing = 'none' | 'length' | 'chunked' | 'bare';

export interface Message {
  /** Name, value, name, value …, without those of the framing. */
  readonly fields: Fields;
  readonly framing: Framing;
  readonly body: string;
  readonly trailers: Fields;
}

export interface Request extends Message {
  readonly method: string;
  readonly path: string;
}

export interface Response extends Message {
  readonly status: number;
  readonly informational: readonly { readonly status: number; readonly fields: Fields }[];
}

/** What an application has read; `authority` is Host or `:authority`. */
export interface SeenRequest extends Request {
  readonly authority: string;
}

/** `error`: why there is no whole answer. */
export type Answer = Response & { readonly error?: string };

export type Version = 'h1' | 'h2';

const EMPTY: Message = { fields: [], framing: 'none', body: '', trailers: [] };
export const toRequest = (request: Partial<Request>): Request => ({ method: 'GET', path: '/', ...EMPTY, ...request });
export const toResponse = (response: Partial<Response>): Response => ({
  ...{ status: 200, informational: [] },
  ...EMPTY,
  ...response,
});

const FRAMING_FIELDS = new Set(['content-length', 'transfer-encoding']);

function pairsOf(fields: Fields): [string, string][] {
  return Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i] as string, fields[2 * i + 1] as string]);
}

function framingOf(fields: Fields, isBare: boolean): Framing {
  const names = pairsOf(fields).map(([name]) => name);
  if (names.includes('transfer-encoding')) return 'chunked';
  if (names.includes('content-length')) return 'length';
  return isBare ? 'bare' : 'none';
}

export function without(fields: Fields, drop: (name: string) => boolean): string[] {
  return pairsOf(fields).flatMap(([name, value]) => (drop(name) ? [] : [name, value]));
}

/** Every value that a field of this name has. */
export function valuesOf(fields: Fields, name: string): string[] {
  return pairsOf(fields).flatMap(([each, value]) => (each === name ? [value] : []));
}

/** Fields that frame `message`, on HTTP/1.1. */
function framingFields({ framing, body }: Message): string[] {
  if (framing === 'length') return ['content-length', String(body.length)];
  return framing === 'chunked' ? ['transfer-encoding', 'chunked'] : [];
}

// HTTP/1.1.

function writeHead(startLine: string, fields: Fields): string {
  return `${startLine}\r\n${pairsOf(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
}

function writeBody({ framing, body, trailers }: Message): string {
  if (framing !== 'chunked') return body;
  const [first, rest] = [body.slice(0, Math.ceil(body.length / 3)), body.slice(Math.ceil(body.length / 3))];
  const chunks = [first, rest]
    .filter((text) => text !== '')
    .map((text) => `${text.length.toString(16)}\r\n${text}\r\n`);
  return `${chunks.join('')}${writeHead('0', trailers)}`;
}

export function writeH1Response(response: Response, hasBody = true): string {
  const { informational, status, fields } = response;
  const heads = informational.map((head) => writeHead(`HTTP/1.1 ${head.status} Early`, head.fields));
  const head = writeHead(`HTTP/1.1 ${status} Some`, [...fields, ...framingFields(response)]);
  return heads.join('') + head + (hasBody ? writeBody(response) : '');
}

interface H1Message extends Message {
  readonly startLine: string;
  readonly rest: string;
}

/**
 * Reads one message, as plainly as one can: a second opinion, which knows nothing of the parser it judges. Every line must
 * end with CR LF and hold nothing that could be read otherwise.
 *
 * @param ended nothing more comes: what is delimited by that is whole
 * @returns undefined until it is whole
 */
function readH1(text: string, hasBody: (startLine: string) => boolean, ended: boolean): H1Message | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [startLine = '', ...lines] = text.slice(0, end).split('\r\n');
  match(startLine, /^[ -~]+$/);
  const fields = lines.flatMap(readLine);
  const framing = framingOf(fields, startLine.startsWith('HTTP/') && hasBody(startLine));
  const behind = text.slice(end + 4);
  const message = { startLine, fields, framing, trailers: [] as string[] };
  if (!hasBody(startLine) || framing === 'none') return { ...message, body: '', rest: behind };
  if (framing === 'bare') return ended ? { ...message, body: behind, rest: '' } : undefined;
  if (framing === 'length') {
    const length = Number(valuesOf(fields, 'content-length')[0]);
    return behind.length < length
      ? undefined
      : { ...message, body: behind.slice(0, length), rest: behind.slice(length) };
  }
  let [at, body] = [0, ''];
  for (;;) {
    const lineEnd = behind.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = behind.slice(at, lineEnd);
    match(size, /^[0-9a-f]{1,8}$/, 'a chunk size without an extension');
    const length = Number.parseInt(size, 16);
    if (length === 0) {
      const isPlain = behind.startsWith('\r\n', lineEnd + 2);
      const trailersEnd = isPlain ? lineEnd + 2 : behind.indexOf('\r\n\r\n', lineEnd + 2);
      if (trailersEnd < 0) return undefined;
      const trailers = isPlain
        ? []
        : behind
            .slice(lineEnd + 2, trailersEnd)
            .split('\r\n')
            .flatMap(readLine);
      return { ...message, body, trailers, rest: behind.slice(trailersEnd + (isPlain ? 2 : 4)) };
    }
    if (behind.length < lineEnd + 2 + length + 2) return undefined;
    body += behind.slice(lineEnd + 2, lineEnd + 2 + length);
    equal(behind.slice(lineEnd + 2 + length, lineEnd + 4 + length), '\r\n');
    at = lineEnd + 4 + length;
  }
}

function readLine(line: string): [string, string] {
  const [, name = '', value = ''] =
    /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)$/.exec(line) ?? match(line, /^a field$/) ?? [];
  return [name.toLowerCase(), value];
}

// Applications.

/** Answers what it is asked by `x-case`; remembers what it has read, and how many connections there were. */
export interface App {
  readonly address: string;
  readonly seen: SeenRequest[];
  connections: number;
  /** Requests that have begun. */
  begun: number;
}

export type Respond = (request: SeenRequest) => Response | string;

const CONTINUE = toResponse({ status: 100 });

/** Speaks HTTP/1.1. A text is sent as it stands, and then the connection is closed. */
export async function startH1App(t: Pick<TestContext, 'after'>, respond: Respond): Promise<App> {
  const app = { address: '', seen: [] as SeenRequest[], connections: 0, begun: 0 };
  const { address } = await startTcpApp(t, (socket) => {
    app.connections++;
    let text = '';
    let hasContinued = false;
    socket.setEncoding('latin1');
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      if (text === '') app.begun++;
      text += String(chunk);
      for (;;) {
        const isAsking = !hasContinued && /\r\nexpect: 100-continue\r\n/i.test(text) && text.includes('\r\n\r\n');
        if (isAsking && !/^PUT \/refused /.test(text)) {
          hasContinued = true;
          socket.write(writeHead(`HTTP/1.1 ${CONTINUE.status} Continue`, []));
        }
        const isRefused = /^PUT \/refused /.test(text);
        const message = readH1(text, () => !isRefused, false);
        if (message === undefined) return;
        text = message.rest;
        hasContinued = false;
        const [method = '', path = ''] = message.startLine.split(' ');
        const authority = String(valuesOf(message.fields, 'host')[0]);
        const request = { ...message, method, path, authority };
        app.seen.push(request);
        const response = respond(request);
        if (typeof response === 'string') return void socket.end(response, 'latin1');
        const hasBody = method !== 'HEAD' && response.status !== 304;
        socket.write(writeH1Response(response, hasBody), 'latin1');
        if (response.framing === 'bare' || isRefused) return void socket.end();
      }
    });
  });
  return Object.assign(app, { address });
}

/** What an HTTP/2 application answers out of the ordinary. */
export type H2Script = (peer: H2Peer, id: number) => void;

/** Speaks HTTP/2 with prior knowledge. */
export async function startH2App(
  t: Pick<TestContext, 'after'>,
  respond: (request: SeenRequest) => Response | H2Script,
): Promise<App> {
  const app = { address: '', seen: [] as SeenRequest[], connections: 0, begun: 0 };
  const { address } = await startTcpApp(t, (socket) => {
    app.connections++;
    const begun = new Map<number, { fields: Fields; body: string; trailers: Fields }>();
    const finish = (peer: H2Peer, id: number): void => {
      const { fields, body, trailers } = begun.get(id) ?? { fields: [], body: '', trailers: [] };
      begun.delete(id);
      const pseudo = (name: string): string => String(valuesOf(fields, name)[0]);
      const request: SeenRequest = {
        method: pseudo(':method'),
        path: pseudo(':path'),
        authority: pseudo(':authority'),
        fields: without(fields, (name) => name.startsWith(':')),
        framing: framingOf(fields, body !== '' || trailers.length > 0),
        ...{ body, trailers },
      };
      app.seen.push(request);
      const response = respond(request);
      if (typeof response === 'function') return response(peer, id);
      for (const { status, fields } of response.informational)
        peer.sendFields(id, [':status', String(status), ...fields], false);
      writeH2(peer, id, [':status', String(response.status)], response, request.method !== 'HEAD');
    };
    new H2Peer(socket, 'server', {
      onFields(peer, id, fields, isEnd) {
        const stream = begun.get(id);
        if (stream === undefined) {
          app.begun++;
          begun.set(id, { fields, body: '', trailers: [] });
          if (fields.includes('/refused')) return finish(peer, id);
          if (fields.includes('100-continue')) peer.sendFields(id, [':status', '100'], false);
        } else stream.trailers = fields;
        if (isEnd) finish(peer, id);
      },
      onData(peer, id, text, isEnd) {
        const stream = begun.get(id);
        if (stream !== undefined) stream.body += text;
        if (isEnd && stream !== undefined) finish(peer, id);
      },
      onReset: (_, id) => void begun.delete(id),
      onOver: () => socket.end(),
    });
  });
  return Object.assign(app, { address });
}

function writeH2(peer: H2Peer, id: number, pseudo: Fields, message: Message, mayHaveBody = true): void {
  const { fields, framing, body, trailers } = message;
  const length = framing === 'length' ? ['content-length', String(body.length)] : [];
  const hasBody = mayHaveBody && (body !== '' || trailers.length > 0 || framing === 'chunked');
  peer.sendFields(id, [...pseudo, ...fields, ...length], !hasBody);
  if (!hasBody) return;
  const pieces = body.match(/[\s\S]{1,10000}/g) ?? [''];
  for (const [i, piece] of pieces.entries()) peer.sendData(id, piece, i === pieces.length - 1 && trailers.length === 0);
  if (trailers.length > 0) peer.sendFields(id, trailers, true);
}

// Callers.

export type Call = (authority: string, request: Request) => Promise<Answer>;

export const toH1Text = (authority: string, request: Request): string =>
  writeHead(`${request.method} ${request.path} HTTP/1.1`, [
    ...['host', authority, 'te', 'trailers', 'connection', 'te, close'],
    ...request.fields,
    ...framingFields(request),
  ]);

/** A connection of HTTP/1.1 for each request. With `expect` its body waits for the 100. */
export function h1Caller(t: Pick<TestContext, 'after'>, proxy: string): Call {
  return async (authority, request) => {
    const client = new Conversation(t, proxy);
    client.say(toH1Text(authority, request));
    if (request.fields.includes('expect')) await client.until(({ text }) => text.includes('\r\n\r\n'));
    if (!/^HTTP\/1\.1 [2-5]/.test(client.text)) client.say(writeBody(request));
    await client.until((it) => it.hasEnded || it.closed !== undefined);
    return readAnswer(client.text, request.method, client.closed === 'reset');
  };
}

/** All of the answer that `text` is, and nothing behind it. */
export function readAnswer(text: string, method: string, isReset: boolean): Answer {
  const informational: { status: number; fields: Fields }[] = [];
  let rest = text;
  for (;;) {
    const hasBody = (line: string): boolean => method !== 'HEAD' && !/ (?:1\d\d|204|304)(?: |$)/.test(line);
    const message = readH1(rest, hasBody, !isReset);
    if (message === undefined) return { ...toResponse({ status: 0, informational }), error: `cut short: ${text}` };
    const { startLine, fields, framing, body, trailers } = message;
    match(startLine, /^HTTP\/1\.1 \d\d\d .*$/);
    const status = Number(startLine.slice(9, 12));
    rest = message.rest;
    if (status < 200) informational.push({ status, fields });
    else {
      equal(rest, '', 'nothing behind the answer');
      return { status, informational, fields, framing, body, trailers };
    }
  }
}

/** A connection of HTTP/2 for each request. */
export function h2Caller(t: Pick<TestContext, 'after'>, proxy: string): Call {
  return (authority, request) => {
    const { method, path } = request;
    const pseudo = [':method', method, ':scheme', 'http', ':authority', authority, ':path', path];
    const isWaiting = request.fields.includes('expect');
    return askH2(
      t,
      proxy,
      (peer) => {
        const all = { ...request, fields: ['te', 'trailers', ...request.fields] };
        if (!isWaiting) return writeH2(peer, 1, pseudo, all);
        const length = request.framing === 'length' ? ['content-length', String(request.body.length)] : [];
        peer.sendFields(1, [...pseudo, ...all.fields, ...length], false);
      },
      isWaiting ? request.body : undefined,
    );
  };
}

/** What comes back on stream 1 of a new connection. @param onContinue body that is sent at the 100 */
export function askH2(
  t: Pick<TestContext, 'after'>,
  proxy: string,
  say: (peer: H2Peer) => void,
  onContinue?: string,
): Promise<Answer> {
  const { hostname, port } = new URL(`tcp://${proxy}`);
  const socket = connect({ host: hostname, port: Number(port) });
  t.after(() => socket.destroy());
  return new Promise((resolve) => {
    const informational: { status: number; fields: Fields }[] = [];
    let answer = toResponse({ status: 0 });
    const finish = (error?: string): void => {
      socket.end();
      const framing = framingOf(answer.fields, answer.body !== '' || answer.trailers.length > 0);
      resolve({ ...answer, framing, informational, ...(error === undefined ? {} : { error }) });
    };
    const peer = new H2Peer(socket, 'client', {
      onFields(_, id, fields, isEnd) {
        if (id !== 1) return;
        const status = Number(valuesOf(fields, ':status')[0]);
        const others = without(fields, (name) => name === ':status');
        if (answer.status !== 0) answer = { ...answer, trailers: fields };
        else if (status < 200) {
          informational.push({ status, fields: others });
          if (status === 100 && onContinue !== undefined) peer.sendData(1, onContinue, true);
        } else answer = { ...answer, status, fields: others };
        if (isEnd) finish();
      },
      onData(_, id, text, isEnd) {
        if (id !== 1) return;
        answer = { ...answer, body: answer.body + text };
        if (isEnd) finish();
      },
      onReset: (_, id, code) => (id === 1 ? finish(`reset with ${code}`) : undefined),
      onOver: () => finish('the connection is over'),
    });
    say(peer);
  });
}

/** Without the fields that frame, and those that each hop says for itself. */
export function endToEnd(fields: Fields): string[] {
  return without(fields, (name) => FRAMING_FIELDS.has(name) || HOP_FIELDS.has(name));
}

const HOP_FIELDS = new Set(['connection', 'host', 'te', 'traceparent', 'x-case', 'x-skein-client-id']);
