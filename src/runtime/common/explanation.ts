/** What stands in the way of a connection, in words for people. */

export interface Explanation {
  /** Ends a sentence "Cannot …: state". */
  readonly state: string;
  readonly remedy: string;
}
