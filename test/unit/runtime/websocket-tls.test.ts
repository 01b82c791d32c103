import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { createWebSocketDialler, WebSocketAcceptor } from '../../../src/runtime/node/websocket.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { TestAuthority } from '../../support/nginx.ts';

const skip = lacking('openssl');

describe('dialWebSocket over TLS', { skip }, () => {
  let authority: TestAuthority;
  const acceptor = new WebSocketAcceptor();
  let server: ReturnType<typeof createServer>;
  let port = 0;

  before(async () => {
    authority = new TestAuthority();
    const { certificatePath, keyPath } = authority.issue('hub', ['DNS:localhost']);
    server = createServer({ key: readFileSync(keyPath), cert: readFileSync(certificatePath) });
    server.on('upgrade', (incoming, socket, head) => {
      acceptor.accept(incoming, socket, head, (pipe) => {
        pipe.attach({ onMessage: (message) => pipe.send(message), onProgress() {}, onClose() {} });
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    authority.remove();
  });

  it('refuses a certificate of nobody known, and says how to trust it', async () => {
    await assert.rejects(createWebSocketDialler()(`wss://localhost:${port}`), (error: unknown) => {
      assert.ok(error instanceof SkeinError);
      assert.equal(error.code, 'SKEIN_HUB_UNREACHABLE');
      assert.match(error.message, /certificate not trusted/);
      assert.match(String(error.details.remedy), /NODE_EXTRA_CA_CERTS/);
      return true;
    });
  });

  for (const { host, expected } of [
    { host: 'localhost', expected: 'echo 1,2,3; all as sent' },
    { host: '127.0.0.1', expected: 'certificate is for another name' },
  ]) {
    it(`with the CA in the environment, wss://${host} gives: ${expected}`, async () => {
      const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
      const module = new URL(`../../../src/runtime/node/websocket.${extension}`, import.meta.url).href;
      const script = `
        import { Buffer } from 'node:buffer';
        import process from 'node:process';
        import { createWebSocketDialler } from ${JSON.stringify(module)};
        createWebSocketDialler()('wss://${host}:${port}').then((pipe) => {
          const sizes = [3, 66_076, 500, 0, 128 * 1024, 30_000];
          const numbered = (i) => Uint8Array.from({ length: sizes[i % 6] }, (_, at) => at + i + 1);
          let [count, altered] = [0, 0];
          const onMessage = (m) => {
            const first = count === 0 ? m.join() : '';
            if (Buffer.compare(m, numbered(count++)) !== 0) altered++;
            if (first !== '') process.stdout.write('echo ' + first);
            if (count < 200) return;
            console.log(altered === 0 ? '; all as sent' : '; altered ' + altered);
            pipe.terminate();
          };
          pipe.attach({ onMessage, onProgress() {}, onClose() {} });
          for (let i = 0; i < 200; i++) pipe.send(numbered(i));
        }, (error) => console.log(error.message));`;
      const deno = process.versions.deno !== undefined;
      const args = deno ? ['eval', '--no-check', script] : ['--input-type=module', '-e', script];
      const child = spawn(process.execPath, args, {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: authority.certificatePath, DENO_CERT: authority.certificatePath },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      await once(child, 'close');
      assert.ok(text.includes(expected), text);
    });
  }
});
