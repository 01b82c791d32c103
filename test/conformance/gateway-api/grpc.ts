/** gRPC calls of the suite: each over an HTTP/2 connection to a proxy, the answer's message being what arrived. */
import type { ClientHttp2Session } from 'node:http2';
import type { Report } from './origin.ts';

export interface GrpcAnswer {
  readonly grpcStatus: number;
  readonly report: Report | undefined;
}

export function callGrpc(
  session: ClientHttp2Session,
  authority: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const chunks: Buffer[] = [];
    let status: unknown;
    stream.on('response', (head) => {
      status = head['grpc-status'];
    });
    stream.on('trailers', (trailers) => {
      status = trailers['grpc-status'];
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => {
      const message = Buffer.concat(chunks).subarray(5).toString();
      resolve({ grpcStatus: Number(status), report: message === '' ? undefined : (JSON.parse(message) as Report) });
    });
    stream.end(Buffer.alloc(5));
  });
}
