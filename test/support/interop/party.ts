/** A party of the interop matrix, the same on every runtime: what it serves, and what it tries when it calls another. */
import type { IncomingSocket, Mesh } from '../../../src/index.ts';

/** What a party found out when it called another. */
export interface Findings {
  /** The callee, as it calls itself. */
  readonly callee: string;
  /** Whom the callee saw: by a request, and on a raw stream. */
  readonly seen: { readonly http: string; readonly raw: string };
  /** Bytes that went there and came back as they were, in the body of a request and of its answer; each chunk came before the next went. */
  readonly bodyBytes: number;
  /** The same on a raw stream, which was closed one way and then the other. */
  readonly rawBytes: number;
}

const CHUNKS = 4;
const CHUNK_BYTES = 40_000;
const RAW_PORT = 81;

/** Serves what the others try: a service `name` that gives bodies back, and raw streams that do, behind a line with the caller's id. */
export async function serveParty(mesh: Mesh, name: string, runtime: string): Promise<void> {
  await mesh.serve(name, (request) => {
    const seen = request.headers.get('x-skein-client-id') ?? 'nobody';
    return new Response(request.body, { headers: { 'x-seen': seen, 'x-runtime': runtime } });
  });
  await mesh.listen(name, (socket) => void giveBack(socket), { port: RAW_PORT });
}

async function giveBack(socket: IncomingSocket): Promise<void> {
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode(`${socket.clientId}\n`));
  writer.releaseLock();
  await socket.readable.pipeTo(socket.writable).catch(() => undefined); // the caller tells
}

/** Calls a party. Rejects when anything is not as it must be. */
export async function callParty(mesh: Mesh, name: string): Promise<Findings> {
  const requestBody = new TransformStream<Uint8Array, Uint8Array>();
  const chunks = Array.from({ length: CHUNKS }, (_, i) => new Uint8Array(CHUNK_BYTES).fill(i + 1));
  const to = requestBody.writable.getWriter();
  const init = { method: 'POST', body: requestBody.readable, duplex: 'half' };
  const answering = mesh.fetch(`http://${name}.mesh/`, init as RequestInit);
  let bodyBytes = 0;
  const [first, ...rest] = chunks as [Uint8Array, ...Uint8Array[]];
  const written = to.write(first);
  const answer = await answering;
  if (answer.status !== 200 || answer.body === null) throw new Error(`${answer.status}: ${await answer.text()}`);
  const from = new ByteReader(answer.body);
  await written;
  bodyBytes += await from.expect(first);
  for (const chunk of rest) {
    await to.write(chunk);
    bodyBytes += await from.expect(chunk);
  }
  await to.close();
  await from.expectEnd();

  const socket = await mesh.connect(name, { port: RAW_PORT });
  const raw = new ByteReader(socket.readable);
  const seen = await raw.line();
  const writer = socket.writable.getWriter();
  const sent = Promise.all(chunks.map((chunk) => writer.write(chunk))).then(() => writer.close());
  let rawBytes = 0;
  for (const chunk of chunks) rawBytes += await raw.expect(chunk);
  await sent;
  await raw.expectEnd();
  await socket.closed;
  return {
    callee: answer.headers.get('x-runtime') ?? '',
    seen: { http: answer.headers.get('x-seen') ?? '', raw: seen },
    ...{ bodyBytes, rawBytes },
  };
}

/** Reads so many bytes, however they come. */
class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  async line(): Promise<string> {
    let text = '';
    for (;;) {
      const [byte] = await this.#take(1);
      if (byte === 10) return text;
      text += String.fromCharCode(byte ?? 0);
    }
  }

  /** @returns how many they were */
  async expect(bytes: Uint8Array): Promise<number> {
    const came = await this.#take(bytes.length);
    if (!came.every((byte, i) => byte === bytes[i])) throw new Error('Other bytes came back');
    return came.length;
  }

  async expectEnd(): Promise<void> {
    if (this.#rest.length > 0 || !(await this.#reader.read()).done) throw new Error('More bytes came back');
  }

  async #take(length: number): Promise<Uint8Array> {
    while (this.#rest.length < length) {
      const { done, value } = await this.#reader.read();
      if (done) throw new Error(`Ended ${length - this.#rest.length} bytes too early`);
      const joined = new Uint8Array(this.#rest.length + value.length);
      joined.set(this.#rest);
      joined.set(value, this.#rest.length);
      this.#rest = joined;
    }
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}
