/** A flame graph as SVG: the widest below, what it called above it; who looks at it in a browser sees names and shares of all boxes. */
import { toXml } from './xml.mjs';

const WIDTH = 1200;
const ROW = 17;
const HEAD = 30;
/** Of text at this size; narrower boxes have none. */
const CHARACTER = 6.2;
const LEAST_TEXT = 4;

/** By what time was spent on, as the table beside it says. The first that fits decides. */
const COLOURS = [
  [/^system calls/, '#e07b53'],
  [/^native/, '#f0b59a'],
  [/^Node/, '#e5c46b'],
  [/^crypto/, '#b58fd0'],
  [/^garbage/, '#a0a0a0'],
  [/^src\//, '#7fb0dc'],
  [/^/, '#d9d9d9'],
];

export function flameGraph({ title, flame }) {
  const rows = depth(flame);
  const height = HEAD + rows * ROW + 10;
  const boxes = [];
  const draw = (node, x, level) => {
    const width = node.share * WIDTH;
    const y = height - (level + 1) * ROW - 5;
    boxes.push(box(node, x, y, width));
    let next = x;
    for (const child of node.below) {
      draw(child, next, level + 1);
      next += child.share * WIDTH;
    }
  };
  draw(flame, 0, 0);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10" fill="#222">
  <title>${toXml(title)}</title>
  <rect width="${WIDTH}" height="${height}" fill="#fff"/>
  <text x="8" y="19" font-family="sans-serif" font-size="14">${toXml(title)}</text>
${boxes.join('\n')}
</svg>
`;
}

function box({ name, place, category, share }, x, y, width) {
  const [, colour] = COLOURS.find(([fits]) => fits.test(category));
  const room = Math.floor((width - 4) / CHARACTER);
  const label = room < LEAST_TEXT ? '' : name.length <= room ? name : `${name.slice(0, room - 1)}…`;
  const text = label === '' ? '' : `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${toXml(label)}</text>`;
  const told = `${name}${place === '' ? '' : ` ${place}`}: ${(share * 100).toFixed(1)} %`;
  return `  <g><title>${toXml(told)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(width - 0.5, 0.5).toFixed(1)}" height="${ROW - 1}" fill="${colour}"/>${text}</g>`;
}

const depth = ({ below }) => 1 + Math.max(0, ...below.map(depth));
