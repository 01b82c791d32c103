/**
 * `npm start [-- options]`: installs and builds what is missing, then runs `skein demo` with the options.
 * Everything before the program goes to stderr: stdout carries the program's own lines.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { build, ensureInstalled, root, say } from './house.mjs'

await ensureInstalled()
if ((await build('dist')) > 0) say('warning: built with type errors')

const child = spawn(process.execPath, [join(root, 'bin/skein'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
// The terminal sends Ctrl-C to the whole group, a supervisor only to this process: pass it on, wait for the drain.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
process.on('SIGINT', () => {
  if (!process.stdin.isTTY) child.kill('SIGINT')
})
child.on('error', (error) => {
  say(`Cannot start the demo: ${error.message}`)
  process.exitCode = 1
})
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143)
})
