// @ts-check
/** The numbers: profiles, and the text forms that widgets hold. The twin of cnet_core/control/scales.py. */

export const SOFT_BASE = 0.825;
export const CUSTOM = "custom";
const WEBUI_BLOCKS = 13;
/** The syntax of number texts, as in cnet_core/control/scales.py. */
const NUMBER = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i;
const SEPARATORS = /[,; \t\r\n]+/;
const COLON = /[ \t\r\n]*:[ \t\r\n]*/g;

/**
 * Latent side of each block as a fraction of the largest, shallow to deep, middle last.
 * @type {Record<number, number[]>}
 */
export const SIDES = {
  13: [1, 1, 1, 1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 8, 1 / 8], // SD1.x, SD2.x
  10: [1, 1, 1, 1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 4, 1 / 4], // SDXL
};

/** @typedef {{percent: number, factor: number}} Point */

/** @type {Record<string, (sides: number[], base: number) => number[]>} */
const PROFILES = {
  uniform: (sides) => sides.map(() => 1),
  soft: (sides, base) => sides.map((_, i) => base ** (sides.length - 1 - i)),
  logspace: (sides) => sides.map((_, i) => 10 ** (-1 + i / (sides.length - 1))),
  resolution: (sides) => sides.map((side) => Math.min(...sides) / side),
  resolution_raw: (sides) => sides.map((side) => Math.max(...sides) / side),
  webui: (sides) => sides.map((_, i) => SOFT_BASE ** (WEBUI_BLOCKS - 1 - i)),
};

/**
 * Returns a profile's scales; null for `custom`, unknown names and other numbers of blocks.
 * @param {string} profile
 * @param {number} base
 * @param {number} blocks 13 or 10
 * @returns {number[] | null}
 */
export function profileScales(profile, base, blocks) {
  return SIDES[blocks] ? (PROFILES[profile]?.(SIDES[blocks], base) ?? null) : null;
}

/**
 * Returns the numbers of a text such as `0.1, 0.5, 1`; null if a part is not a number. Commas, semicolons, spaces,
 * tabs and line breaks separate them.
 * @param {string} text
 * @returns {number[] | null}
 */
export function parseScales(text) {
  return numbers(parts(text));
}

/** Whether a text is of points, which fit any number of blocks. @param {string} text */
export const isPoints = (text) => text.includes(":");

/**
 * Returns the scales of a text of numbers, or of points such as `0:0.2, 1:1` for that many blocks: 0 is the finest
 * detail, 1 the layout. Null if it is neither.
 * @param {string} text
 * @param {number} blocks
 * @returns {number[] | null}
 */
export function parseCustom(text, blocks) {
  if (!isPoints(text)) return parseScales(text);
  const points = parseCurve(text);
  return points && Array.from({ length: blocks }, (_, i) => curveAt(points, i / (blocks - 1)));
}

/**
 * Returns the text of scales, at most four decimals each.
 * @param {number[]} scales
 */
export function formatScales(scales) {
  return scales.map(formatNumber).join(", ");
}

/**
 * Returns the points of a text such as `0:1, 0.5:0.4`; null if a point is not percent:factor, or if the percents do not
 * rise from 0 to 1.
 * @param {string} text
 * @returns {Point[] | null}
 */
export function parseCurve(text) {
  const pairs = parts(text.replace(COLON, ":")).map((part) => numbers(part.split(":")));
  if (pairs.some((pair) => pair?.length !== 2)) return null;
  const points = /** @type {number[][]} */ (pairs).map(([percent, factor]) => ({ percent, factor }));
  const rises = points.every(
    (p, i) => p.percent >= 0 && p.percent <= 1 && (i === 0 || p.percent > points[i - 1].percent),
  );
  return rises ? points : null;
}

/**
 * Returns the text of a curve's points.
 * @param {Point[]} points
 */
export function formatCurve(points) {
  return points.map((p) => `${formatNumber(p.percent)}:${formatNumber(p.factor)}`).join(", ");
}

/**
 * Returns the curve's factor at `percent`: linear between points, constant beyond their ends, 1 without any.
 * @param {Point[]} points
 * @param {number} percent
 */
export function curveAt(points, percent) {
  const after = points.findIndex((p) => p.percent > percent);
  if (points.length === 0) return 1;
  if (after === 0) return points[0].factor;
  if (after === -1) return points[points.length - 1].factor;
  const [a, b] = [points[after - 1], points[after]];
  return a.factor + ((b.factor - a.factor) * (percent - a.percent)) / (b.percent - a.percent);
}

/**
 * Returns the scales for another number of blocks, read off at the same relative depths.
 * @param {number[]} scales
 * @param {number} blocks
 */
export function resample(scales, blocks) {
  const points = scales.map((factor, i) => ({ percent: i / Math.max(scales.length - 1, 1), factor }));
  return Array.from({ length: blocks }, (_, i) => curveAt(points, i / (blocks - 1)));
}

/**
 * Returns a number as text: four decimals, a tie to the even digit, as Python rounds.
 * @param {number} value
 */
export function formatNumber(value) {
  const tie = Math.abs((value * 32) % 2) === 1; // only odd multiples of 1/32 lie exactly between two such texts
  const rounded = tie ? (2 * Math.round(value * 5000)) / 1e4 : Number(value.toFixed(4));
  return String(Number(rounded.toPrecision(6)) || 0);
}

/** @param {string} text */
function parts(text) {
  return text.split(SEPARATORS).filter(Boolean);
}

/**
 * @param {string[]} texts
 * @returns {number[] | null}
 */
function numbers(texts) {
  return texts.every((text) => NUMBER.test(text) && Number.isFinite(Number(text))) ? texts.map(Number) : null;
}
