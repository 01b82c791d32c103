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

/** A bound `address:port` as this machine can dial it: one of all interfaces is that of the loopback interface. */
export function toDialable(address: string): string {
  return address.replace(/^0\.0\.0\.0(?=:)/, '127.0.0.1').replace(/^\[::\](?=:)/, '[::1]');
}
