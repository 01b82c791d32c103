/** Names and addresses of this very machine. */

const NAMES: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** True for a host, as in an authority, by which this machine calls itself; any other may be somebody's DNS name. */
export function isLoopbackName(host: string): boolean {
  return NAMES.has(host.toLowerCase());
}

/** True for `address[:port]` of the loopback interface. */
export function isLoopbackAddress(address: string): boolean {
  return /^(?:127\.\d+\.\d+\.\d+|\[?::1\]?|\[?::ffff:127\.\d+\.\d+\.\d+\]?)(?::\d+)?$/.test(address);
}
