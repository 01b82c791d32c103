/** A platform's sockets for direct paths that remember where they were asked to go, and let a test cut what they made. */
import type { DirectSockets, Platform, RawConnection, RawConnectOptions } from '../../src/core/platform.ts';

export class RecordedSockets {
  /** `host:port` of every dial, in order. */
  readonly dials: string[] = [];
  readonly connections: RawConnection[] = [];
  readonly platform: Platform;

  constructor(base: Platform, overrides: Partial<DirectSockets> = {}) {
    const sockets = base.directSockets as DirectSockets;
    this.platform = {
      ...base,
      directSockets: {
        ...sockets,
        connect: async (to: RawConnectOptions) => {
          this.dials.push(`${to.host}:${to.port}`);
          const connection = await sockets.connect(to);
          this.connections.push(connection);
          return connection;
        },
        listen: (at, onConnection) =>
          sockets.listen(at, (connection) => {
            this.connections.push(connection);
            onConnection(connection);
          }),
        ...overrides,
      },
    };
  }

  /** Drops all connections that are or were open, as a NAT that forgets them with a reset would. */
  cut(): void {
    for (const connection of this.connections.splice(0)) connection.close();
  }
}
