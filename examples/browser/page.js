/** The page: joins the mesh, and does what its buttons say. */
import { createMesh } from 'skein/browser';
import { PatternCheck, patternFrom } from './pattern.js';

const MEBIBYTE = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const $ = (id) => document.getElementById(id);

let hasNewToken = false;
const mesh = await join().catch((error) => {
  $('state').textContent = `${error.code}: ${error.message}`;
  throw error;
});

async function join() {
  const hub = await (await fetch('/hub')).text();
  return createMesh({
    hub,
    // Under this name key and identity are kept: who comes back, or opens another window, needs no token.
    data: 'example',
    async token() {
      hasNewToken = true;
      return (await (await fetch('/join', { method: 'POST' })).json()).token;
    },
  });
}

const tellState = (isHere) => {
  $('state').textContent = isHere ? 'connected' : 'reconnecting';
  $('state').classList.toggle('here', isHere);
};
mesh.on('connected', () => tellState(true));
mesh.on('disconnected', () => tellState(false));
tellState(true);
$('identity').textContent = mesh.id;
$('instance').textContent = mesh.instance;
$('way').textContent = hasNewToken ? 'a join token' : 'the identity kept in this browser';

await mesh.serve('screen', (request) => {
  const entry = document.createElement('li');
  entry.textContent = `asked by ${request.headers.get('x-skein-client-id')}`;
  $('asked').append(entry);
  return new Response(`I am a page of ${innerWidth} by ${innerHeight} pixels, instance ${mesh.instance}.`);
});

/** A button, what it does, and where the outcome is shown. */
function connect(button, output, act) {
  $(button).disabled = false;
  $(button).addEventListener('click', async () => {
    $(button).disabled = true;
    $(output).textContent = '…';
    $(output).className = '';
    try {
      $(output).textContent = await act();
    } catch (error) {
      $(output).textContent = String(error);
      $(output).className = 'bad';
    }
    $(button).disabled = false;
  });
}

const textOf = async (response) => {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${response.headers.get('x-skein-reason') ?? ''}: ${text}`);
  return text;
};

connect('call', 'call-result', async () => textOf(await mesh.fetch('http://api.mesh/hello')));

connect('ask', 'ask-result', async () => textOf(await mesh.fetch('http://api.mesh/ask')));

connect('echo', 'echo-result', async () => {
  const socket = await mesh.connect('echo');
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode('Is anybody there? '));
  await writer.close();
  return new Response(socket.readable).text();
});

const progress = (bytes, total) => {
  $('progress').max = total;
  $('progress').value = bytes;
};

const tell = (verb, { bytes, isWhole }, total, startedMs) => {
  if (bytes !== total || !isWhole)
    throw new Error(`${verb} ${bytes} of ${total} bytes, ${isWhole ? 'in order' : 'mixed up'}`);
  const seconds = (performance.now() - startedMs) / 1000;
  return `${verb} ${total / MEBIBYTE} MiB, every byte in its place, ${(total / MEBIBYTE / seconds).toFixed(1)} MiB/s`;
};

connect('download', 'stream-result', async () => {
  const total = $('mebibytes').valueAsNumber * MEBIBYTE;
  const startedMs = performance.now();
  const response = await mesh.fetch(`http://api.mesh/download?bytes=${total}`);
  const check = new PatternCheck();
  // What is not read yet is not sent: a page that is slow makes its service slow.
  for await (const chunk of response.body) {
    check.take(chunk);
    progress(check.bytes, total);
  }
  return tell('received', check, total, startedMs);
});

connect('upload', 'stream-result', async () => {
  const total = $('mebibytes').valueAsNumber * MEBIBYTE;
  const startedMs = performance.now();
  let sent = 0;
  // A browser's own fetch has no streams as bodies but over HTTP/2, and no duplex at all; that of the mesh has.
  const body = new ReadableStream({
    pull(controller) {
      const chunk = patternFrom(sent, Math.min(CHUNK_BYTES, total - sent));
      sent += chunk.length;
      progress(sent, total);
      controller.enqueue(chunk);
      if (sent === total) controller.close();
    },
  });
  const response = await mesh.fetch('http://api.mesh/upload', { method: 'POST', body });
  return tell('sent', JSON.parse(await textOf(response)), total, startedMs);
});
