/** `node examples/browser/start.mjs [port]`: builds what is missing, starts all that the page needs, and says where to look. */
import { build, ensureInstalled } from '../../tools/house.mjs';

await ensureInstalled();
await build('dist');
const { startExample } = await import('./server.mjs');
const example = await startExample({ port: Number(process.argv[2] ?? 8080) });
console.log(`Open ${example.url} in a browser, and once more in another window.`);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => example.close().then(() => process.exit()));
