/** UDP sockets. */

import { createSocket } from 'node:dgram';
import type { Bytes } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { DatagramSocket, ListenAddress } from '../../core/platform.ts';
import { formatAddress } from './address.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';

/** @throws SkeinError SKEIN_CONFIG */
export function bindUdp(
  at: ListenAddress,
  onMessage: (message: Bytes, from: ListenAddress) => void,
): Promise<DatagramSocket> {
  const socket = createSocket(at.host.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', (cause) => {
      socket.close();
      const { state, remedy } = explainSystemError(cause);
      const address = formatAddress(at.host, at.port);
      const details = { address, systemCode: systemErrorCode(cause), remedy };
      reject(new SkeinError('SKEIN_CONFIG', `Cannot listen on ${address} (UDP): ${state}`, { cause, details }));
    });
    // An answer to the question of one worker must not reach another.
    socket.bind({ address: at.host, port: at.port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      // A port that answered "unreachable" to an earlier datagram is no failure of this socket.
      socket.on('error', () => undefined);
      socket.on('message', (message, { address, port }) => onMessage(message, { host: address, port }));
      const { address, port } = socket.address();
      resolve({
        address: formatAddress(address, port) ?? '',
        port,
        send: (message, to) => socket.send(message, to.port, to.host, () => undefined),
        close: () => void socket.close(),
      });
    });
  });
}
