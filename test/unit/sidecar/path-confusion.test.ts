/** Path confusion on the wire: what policy forbids reaches no application in any spelling, and what it allows arrives as it was sent. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { printFigures } from '../../support/figures.ts';
import { LocalMesh, policy } from '../../support/local-mesh.ts';
import { ANY_PORT, Conversation, startHttpApp, startSidecar } from '../../support/local-sidecars.ts';
import { readersOfAdmin, spellings } from '../../support/path-confusion.ts';

test('Each spelling of a path that some server reads as /admin is refused, in both forms of a target', async (t) => {
  const mesh = await LocalMesh.start(t);
  const seen: string[] = [];
  const app = await startHttpApp(t, ({ url = '' }, response) => {
    seen.push(url);
    response.end();
  });
  const callee = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}` }],
  });
  const { proxy } = await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT } });
  const before = callee.log.of('policies-changed').length;
  await mesh.hub.apply([policy({ allow: [{}], deny: [{ to: [{ paths: ['/admin', '/admin/*'] }] }] })]);
  await callee.log.waitFor('policies-changed', before + 1);

  const ask = async (target: string): Promise<number> => {
    const talk = new Conversation(t, proxy).say(
      `GET ${target} HTTP/1.1\r\nhost: api.mesh\r\nconnection: close\r\n\r\n`,
    );
    await talk.until(({ text }) => text.includes('\r\n'));
    talk.socket.destroy();
    return Number(talk.text.split(' ')[1]);
  };
  const figures = { vectors: 0, refused: 0, passed: 0, bypasses: 0 };
  for (const path of [
    ...spellings(),
    '/admin/\xff',
    '/admin/%ff',
    '/%ff/../admin/x',
    '/public/x',
    '/public/a%20b?q=%2f',
  ]) {
    const isAdmin = readersOfAdmin(path).length > 0;
    for (const target of [path, `http://api.mesh${path}`]) {
      const count = seen.length;
      const status = await ask(target);
      const hasArrived = seen.length > count;
      figures.vectors++;
      figures[hasArrived ? 'passed' : 'refused']++;
      if (isAdmin && hasArrived) figures.bypasses++;
      ok(status === 200 ? hasArrived : (status === 403 || status === 400) && !hasArrived, `${target}: ${status}`);
      if (hasArrived) equal(seen.at(-1), path, 'the bytes of a path are not touched');
    }
  }
  printFigures('path confusion on the wire', figures);
  equal(figures.bypasses, 0);
  ok(figures.vectors >= 400);
  deepEqual(seen.slice(-4), ['/public/x', '/public/x', '/public/a%20b?q=%2f', '/public/a%20b?q=%2f']);
});
