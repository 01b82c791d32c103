/** What an operating system's error code means, in words for people: the state, and what to do about it. */

import type { Explanation } from '../common/explanation.ts';

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: {
    state: 'connection refused',
    remedy: 'Check that the process is running and listens on this address and port.',
  },
  ECONNRESET: {
    state: 'connection reset',
    remedy: 'The other end, or a proxy before it, closed the connection; check its log.',
  },
  EPIPE: { state: 'connection closed', remedy: 'The other end closed the connection; check its log.' },
  ENOTFOUND: { state: 'name not found', remedy: 'Check the host name for typing errors and the DNS of this machine.' },
  EAI_AGAIN: {
    state: 'name lookup failed',
    remedy: 'The DNS server did not answer; check the network of this machine.',
  },
  ETIMEDOUT: {
    state: 'no answer in time',
    remedy: 'Check that a firewall does not drop the packets and that the address is right.',
  },
  EHOSTUNREACH: { state: 'host unreachable', remedy: 'Check the address and the routes of this machine.' },
  ENETUNREACH: { state: 'network unreachable', remedy: 'Check that this machine is online.' },
  EADDRNOTAVAIL: {
    state: 'address not available',
    remedy: 'Use an address that this machine has, or wait: it may be out of free ports.',
  },
  EADDRINUSE: { state: 'address in use', remedy: 'Stop the other process, or choose another port (0 takes any).' },
  EACCES: {
    state: 'permission denied',
    remedy: 'Give the process the right to use it; ports below 1024 need a privilege on most systems.',
  },
  EPERM: { state: 'not permitted', remedy: 'Give the process the right to use it.' },
  ENOSPC: { state: 'disk full', remedy: 'Free some space; nothing was lost so far.' },
  EROFS: { state: 'read-only file system', remedy: 'Choose a folder that can be written.' },
  EMFILE: { state: 'too many open files', remedy: 'Raise the limit of open files (ulimit -n).' },
  ENOENT: { state: 'no such file', remedy: 'Check the path.' },
  ENOTDIR: { state: 'a file is where a folder is needed', remedy: 'Choose another folder.' },
  EEXIST: { state: 'a file is where a folder is needed', remedy: 'Choose another folder.' },
  EISDIR: { state: 'a folder is where a file is needed', remedy: 'Check the path.' },
  DEPTH_ZERO_SELF_SIGNED_CERT: {
    state: 'certificate not trusted (self-signed)',
    remedy: 'Give the issuing CA in NODE_EXTRA_CA_CERTS (Deno: DENO_CERT), or use a certificate of a public CA.',
  },
  SELF_SIGNED_CERT_IN_CHAIN: {
    state: 'certificate not trusted (unknown CA)',
    remedy: 'Give the issuing CA in NODE_EXTRA_CA_CERTS (Deno: DENO_CERT); a proxy that opens TLS may be in the way.',
  },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    state: 'certificate not trusted (issuer unknown)',
    remedy: 'Serve the full certificate chain, or give the issuing CA in NODE_EXTRA_CA_CERTS (Deno: DENO_CERT).',
  },
  CERT_HAS_EXPIRED: {
    state: 'certificate expired',
    remedy: 'Renew the certificate, and check the clock of this machine.',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    state: 'certificate is for another name',
    remedy: 'Use a host name that the certificate holds.',
  },
  EPROTO: { state: 'not TLS', remedy: 'The port does not speak TLS; use ws:// instead of wss://, or another port.' },
};

/** Bun's names for what Node calls by errno. */
const ALIASES: Readonly<Record<string, string>> = {
  ConnectionRefused: 'ECONNREFUSED',
  ConnectionClosed: 'ECONNRESET',
  FailedToOpenSocket: 'ECONNREFUSED',
  ENODATA: 'ENOTFOUND',
  ERR_SSL_WRONG_VERSION_NUMBER: 'EPROTO',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
};

/** The `code` of a system error, of the first error of several attempts, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as Error & { readonly code?: unknown };
  if (typeof code === 'string') return ALIASES[code] ?? code;
  // One attempt per address (RFC 8305) fails with a list.
  if (error instanceof AggregateError) return systemErrorCode(error.errors[0]);
  return systemErrorCode(error.cause);
}

/** Has Deno refused it, because the program was not given leave? */
export function isDenied(error: unknown): error is Error {
  return error instanceof Error && error.name === 'NotCapable';
}

/** `Requires write access to "./hub", run again with the --allow-write flag` */
const DENIAL = /^Requires (\w+ access(?: to .+)?), run again with the (--[\w-]+) flag$/;

function explainDenial({ message }: Error): Explanation {
  const [, access, flag] = DENIAL.exec(message) ?? [];
  return {
    state: access === undefined ? message : `Deno does not allow ${access}`,
    remedy: `Run it again with ${flag ?? 'leave for it'}. A hub and a sidecar need --allow-net, --allow-env, --allow-read and --allow-write, for what docs/operations.md names.`,
  };
}

export function explainSystemError(error: unknown): Explanation {
  if (isDenied(error)) return explainDenial(error);
  const known = EXPLANATIONS[systemErrorCode(error) ?? ''];
  if (known !== undefined) return known;
  const text = error instanceof Error ? error.message : String(error);
  return { state: text, remedy: 'See the cause.' };
}
