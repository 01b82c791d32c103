/** What a test measured, as one JSON line on stdout: a number in the README has a test that prints it. */
import process from 'node:process';

export function printFigures(name: string, figures: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ figures: name, ...figures })}\n`);
}
