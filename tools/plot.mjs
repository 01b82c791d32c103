/** A series as SVG: x on a logarithmic scale, y from 0, each point with its figure. */
import { toXml } from './xml.mjs';

const WIDTH = 640;
const HEIGHT = 320;
const MARGIN = { left: 60, right: 40, top: 30, bottom: 50 };
const GRID_LINES = 5;

export function plot({ name, x, y, points }) {
  const xs = points.map(([value]) => Math.log10(value));
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const top = niceCeiling(Math.max(...points.map(([, value]) => value)));
  const toX = (value) =>
    MARGIN.left + ((Math.log10(value) - least) / (most - least || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const toY = (value) => HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const at = ([a, b]) => `${toX(a).toFixed(1)},${toY(b).toFixed(1)}`;
  const text = (cx, cy, content, anchor = 'middle') =>
    `  <text x="${cx.toFixed(1)}" y="${cy.toFixed(1)}" text-anchor="${anchor}">${toXml(content)}</text>`;
  const grid = Array.from({ length: GRID_LINES + 1 }, (_, i) => (top / GRID_LINES) * i).flatMap((value) => [
    `  <line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${toY(value).toFixed(1)}" y2="${toY(value).toFixed(1)}" stroke="#ddd"/>`,
    text(MARGIN.left - 8, toY(value) + 4, String(Number(value.toPrecision(3))), 'end'),
  ]);
  const marks = points.flatMap((point) => [
    `  <circle cx="${toX(point[0]).toFixed(1)}" cy="${toY(point[1]).toFixed(1)}" r="4" fill="#1769aa"/>`,
    text(toX(point[0]), toY(point[1]) - 10, String(Number(point[1].toPrecision(3)))),
    text(toX(point[0]), HEIGHT - MARGIN.bottom + 18, point[0].toLocaleString('en-US')),
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">
  <title>${toXml(`${y} by ${name}`)}</title>
  <rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
${grid.join('\n')}
  <polyline points="${points.map(at).join(' ')}" fill="none" stroke="#1769aa" stroke-width="2"/>
${marks.join('\n')}
${text(WIDTH / 2, HEIGHT - 12, x)}
${text(MARGIN.left, 18, y, 'start')}
</svg>
`;
}

/** The next of 1, 2, 5, 10, 20, … */
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10);
}
