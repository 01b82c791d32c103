/** Endpoints that fail markedly more often than their peers, though never several times in a row (Envoy's success-rate ejection). Pure. */

/** Attempts at one endpoint within an interval. */
export interface Tally {
  succeeded: number;
  failed: number;
}

/** Envoy's `success_rate_stdev_factor`: so many standard deviations below the mean. */
const DEVIATIONS = 1.9;
/** A rate of fewer attempts, or a mean of fewer endpoints, is chance. */
const LEAST_ATTEMPTS = 20;
const LEAST_ENDPOINTS = 3;

/** Indexes of the tallies that stand out. */
export function findFailing(tallies: readonly Tally[]): number[] {
  const rates = tallies.map(({ succeeded, failed }) =>
    succeeded + failed < LEAST_ATTEMPTS ? undefined : succeeded / (succeeded + failed),
  );
  const known = rates.filter((rate) => rate !== undefined);
  if (known.length < LEAST_ENDPOINTS) return [];
  const mean = known.reduce((sum, rate) => sum + rate, 0) / known.length;
  const variance = known.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / known.length;
  const bound = mean - DEVIATIONS * Math.sqrt(variance);
  return rates.flatMap((rate, index) => (rate !== undefined && rate < bound ? [index] : []));
}
