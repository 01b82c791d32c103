/** The Huffman code of HPACK (RFC 7541 §5.2 and Appendix B): decoding alone, because nothing obliges a sender to use it. */

import type { Bytes } from '../core/bytes.ts';

/**
 * Length of each symbol's code, `A` for 5 bits to `Z` for 30, from symbol 0 to 256 (EOS). The code is canonical: symbols
 * sorted by length, then by value, have consecutive codes.
 */
const LENGTHS =
  'ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCBAABCCCCC' +
  'KGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRSVVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWW' +
  'WWXWWWWWVZ';
const SHORTEST_BITS = 5;
const EOS = 256;
/** Bits that may be left over at the end, all ones. */
const MAX_PADDING_BITS = 7;

/** Two children of each inner node: another inner node, or -1 - symbol. */
let tree: Int16Array | undefined;

/** Decodes `bytes` into `out` and returns how many came of it; -1 when they are no such code, or do not fit. */
export function decodeHuffman(bytes: Bytes, out: Bytes): number {
  tree ??= buildTree();
  let node = 0;
  let depth = 0;
  let isPadding = true;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const isOne = (byte >> bit) & 1;
      if (isOne === 0) isPadding = false;
      const next = tree[node * 2 + isOne] as number;
      depth++;
      if (next >= 0) {
        node = next;
        continue;
      }
      const symbol = -1 - next;
      if (symbol === EOS || length === out.length) return -1;
      out[length++] = symbol;
      node = 0;
      depth = 0;
      isPadding = true;
    }
  }
  return depth <= MAX_PADDING_BITS && isPadding ? length : -1;
}

function buildTree(): Int16Array {
  const symbols = Array.from(LENGTHS, (letter, symbol) => ({
    symbol,
    bits: letter.charCodeAt(0) - 'A'.charCodeAt(0) + SHORTEST_BITS,
  })).sort((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  const built = new Int16Array(2 * EOS);
  let nodes = 1;
  let code = 0;
  let bitsBefore = 0;
  for (const { symbol, bits } of symbols) {
    code <<= bits - bitsBefore;
    bitsBefore = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const at = node * 2 + ((code >> bit) & 1);
      if (built[at] === 0) built[at] = nodes++;
      node = built[at] as number;
    }
    built[node * 2 + (code & 1)] = -1 - symbol;
    code++;
  }
  return built;
}
