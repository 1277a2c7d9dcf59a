// @ts-check
/** Names of the blocks, on the screen and for screen readers. */

import { make } from "./make.js";
import { SIDES } from "./scales.js";

/** @type {Record<number, string>} */
const SIDE_NAMES = { 1: "1", 0.5: "½", 0.25: "¼", 0.125: "⅛" };

/**
 * Whether a block is the last of its resolution; the middle is not.
 * @param {number} index
 * @param {number} count
 */
export function endsSide(index, count) {
  const sides = SIDES[count] ?? [];
  return index < count - 1 && (sides[index] !== sides[index + 1] || index === count - 2);
}

/**
 * Returns a block's full name. Blocks count from 0, and the last is the middle, as in the X-ray and in Python.
 * @param {number} index
 * @param {number} count
 * @param {import("./words.js").Say} say
 */
export function nameOf(index, count, say) {
  const side = SIDES[count]?.[index] ?? 1;
  const part = side === 1 ? say("full") : say("side", SIDE_NAMES[side]);
  return `${numberOf(index, count, say)}, ${part}`;
}

/**
 * Returns a block's name and its fraction of the resolution.
 * @param {number} index
 * @param {number} count
 * @param {import("./words.js").Say} say
 */
export function shortNameOf(index, count, say) {
  const side = SIDES[count]?.[index];
  return numberOf(index, count, say) + (side ? ` · ${SIDE_NAMES[side]}` : "");
}

/**
 * @param {number} index
 * @param {number} count
 * @param {import("./words.js").Say} say
 */
function numberOf(index, count, say) {
  return index === count - 1 ? say("middle") : say("block", index);
}

/**
 * Returns the labels below the bars: one for each resolution, and the middle's.
 * @param {number} count
 * @param {import("./words.js").Say} say
 */
export function groupsOf(count, say) {
  const sides = (SIDES[count] ?? []).slice(0, -1);
  const names = [...new Set(sides)].map((side) => [SIDE_NAMES[side], sides.filter((s) => s === side).length]);
  return [...names, [say("mid"), 1]].map(([name, width]) => make("span", { style: `flex: ${width}` }, [String(name)]));
}

/** Returns a scale as text short enough to fit above a bar. @param {number} scale */
export function shortOf(scale) {
  return String(Number(scale.toFixed(Math.abs(scale) < 10 ? 2 : 1)));
}
