/** Counters of the streams of one session, read at scrape time. */

export interface MuxStats {
  streamsOpened: number;
  streamsAccepted: number;
  /** Of those that were accepted. */
  streamsFinished: number;
  resetsSent: number;
  resetsReceived: number;
  dataBytesSent: number;
  dataBytesReceived: number;
}

export function createMuxStats(): MuxStats {
  return {
    streamsOpened: 0,
    streamsAccepted: 0,
    streamsFinished: 0,
    resetsSent: 0,
    resetsReceived: 0,
    dataBytesSent: 0,
    dataBytesReceived: 0,
  };
}
