/** Metrics of several processes as one text: each sample with the name of its process as a label, each family once. */

interface Family {
  /** `# HELP` and `# TYPE`, of whoever told first. */
  readonly head: string[];
  readonly samples: string[];
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (.+)$/;
const HEAD = /^# (?:HELP|TYPE) ([a-zA-Z_:][\w:]*)/;

/**
 * @param label that tells them apart; none of their metrics has it
 * @param texts name of a process, and what it tells in the text format of Prometheus
 */
export function mergeMetrics(label: string, texts: readonly (readonly [name: string, text: string])[]): string {
  const families = new Map<string, Family>();
  for (const [name, text] of texts) {
    const told = new Set<string>();
    let family: Family | undefined;
    for (const line of text.split('\n')) {
      const of = HEAD.exec(line)?.[1];
      if (of !== undefined) {
        const known = families.get(of);
        // Both lines of its head are of the first that tells of it.
        if (known === undefined) told.add(of);
        family = known ?? { head: [], samples: [] };
        families.set(of, family);
        if (told.has(of)) family.head.push(line);
        continue;
      }
      const [, metric, labels, value] = SAMPLE.exec(line) ?? [];
      if (metric === undefined) continue;
      family?.samples.push(`${metric}{${label}="${name}"${labels === undefined ? '' : `,${labels}`}} ${value}`);
    }
  }
  return [...families.values()].flatMap(({ head, samples }) => [...head, ...samples, '']).join('\n');
}
