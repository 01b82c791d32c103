/** Counters of one session, read at scrape time. */

export interface SessionStats {
  recordsSent: number;
  recordsReceived: number;
  recordsDuplicate: number;
  recordsForged: number;
  /** Came behind a later one on one and the same path, which keeps its order. */
  recordsReordered: number;
  /** Sent once more, on another path. */
  recordsResent: number;
  bytesResent: number;
  pathSwitches: number;
  /** Times that it had no path, and then one again. */
  resumes: number;
  /** Paths given up because what came on them was altered, or missing in the middle. */
  pathsDistrusted: number;
}

export function createSessionStats(): SessionStats {
  return {
    recordsSent: 0,
    recordsReceived: 0,
    recordsDuplicate: 0,
    recordsForged: 0,
    recordsReordered: 0,
    recordsResent: 0,
    bytesResent: 0,
    pathSwitches: 0,
    resumes: 0,
    pathsDistrusted: 0,
  };
}
