/** A `Mesh` for whose callers virtual time passes: while a call is under way, and while somebody reads or writes a stream that it gave. */

import type { MeshSocket } from '../agent/connect.ts';
import type { Mesh, ServedService } from '../agent/mesh.ts';
import type { Pace } from './pace.ts';

/** What others send to this member, its handlers' requests and sockets, moves no time: servers wait for ever. */
export function toPacedMesh(mesh: Mesh, pace: Pace): Mesh {
  const served = async (service: Promise<ServedService>): Promise<ServedService> => pace.run(service);
  return {
    ...mesh,
    fetch: async (input, init) => toPacedResponse(await pace.run(mesh.fetch(input, init)), pace),
    serve: (name, handler, options) => served(mesh.serve(name, handler, options)),
    connect: async (name, options) => toPacedSocket(await pace.run(mesh.connect(name, options)), pace),
    listen: (name, onConnection, options) => served(mesh.listen(name, onConnection, options)),
    token: (options) => pace.run(mesh.token(options)),
    verifyToken: (token, options) => pace.run(mesh.verifyToken(token, options)),
    close: (options) => pace.run(mesh.close(options)),
    [Symbol.asyncDispose]: () => pace.run(mesh.close()),
  };
}

function toPacedResponse(response: Response, pace: Pace): Response {
  const { body, status, headers } = response;
  if (body === null) return response;
  return new Response(toPacedReadable(body, pace), { status, headers });
}

function toPacedSocket(socket: MeshSocket, pace: Pace): MeshSocket {
  const writer = socket.writable.getWriter();
  return {
    readable: toPacedReadable(socket.readable, pace),
    writable: new WritableStream<Uint8Array>({
      write: (chunk) => pace.runAWhile(writer.write(chunk)),
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    }),
    closed: socket.closed,
    abort: (reason) => socket.abort(reason),
  };
}

function toPacedReadable<T extends Uint8Array>(source: ReadableStream<T>, pace: Pace): ReadableStream<T> {
  const reader = source.getReader();
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await pace.runAWhile(reader.read());
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    // As the stream behind it: nothing is taken ahead of the application.
    { highWaterMark: 0 },
  );
}
