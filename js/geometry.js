// @ts-check
/** Positions as fractions of the drawing area: x from left to right, y from the top down, both 0..1. */

/** @typedef {{x: number, y: number}} Place */
/** @typedef {{left: number, top: number, width: number, height: number}} Box */
/** @typedef {{low: number, top: number}} Axis its ends: low is 0 where no value is negative */
/** @typedef {import("./scales.js").Point} Point */

/** Ends that an axis may have, times powers of ten. */
const NICE = [1, 1.5, 2, 3, 5, 8];
const CLOSE = 0.06; // how near a point of the curve counts as hit
const GAP = 0.01; // of the run, that the editor leaves between two points of the curve

/**
 * Returns a pointer's position in a box on the screen; it may lie outside 0..1.
 * @param {{clientX: number, clientY: number}} event
 * @param {Box} box
 * @returns {Place}
 */
export function placeIn(event, box) {
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

/**
 * Returns the axis that holds 0, 1 and these values; its ends are round numbers.
 * @param {number[]} values
 * @returns {Axis}
 */
export function axisOf(values) {
  const finite = values.filter(Number.isFinite);
  const least = Math.min(0, ...finite);
  return { low: least < 0 ? -roundUp(-least) : 0, top: roundUp(Math.max(1, ...finite)) };
}

/**
 * Returns the bar at a position; positions outside the area belong to the outermost bars.
 * @param {number} x
 * @param {number} bars
 */
export function barAt(x, bars) {
  return clamp(Math.floor(x * bars), 0, bars - 1);
}

/**
 * Returns the value at a height, in steps of 0.01. It keeps rising above the area, and stays at the axis's low end below it.
 * @param {number} y
 * @param {Axis} axis
 */
export function valueAt(y, axis) {
  const value = axis.top - y * (axis.top - axis.low);
  return Math.max(axis.low, Math.round(value * 100) / 100);
}

/**
 * Returns a value's height above the lower edge, as a fraction of the area's.
 * @param {number} value
 * @param {Axis} axis
 */
export function heightOf(value, axis) {
  return clamp((value - axis.low) / (axis.top - axis.low), 0, 1);
}

/**
 * Returns every bar between two pointer events with the value on the line between them, so that a fast sweep skips
 * none. Without a first position: the bar at the second.
 * @param {Place | null} from
 * @param {Place} to
 * @param {number} bars
 * @param {Axis} axis
 * @returns {[number, number][]} pairs of bar and value
 */
export function sweep(from, to, bars, axis) {
  const end = barAt(to.x, bars);
  const start = from ? barAt(from.x, bars) : end;
  const step = start <= end ? 1 : -1;
  /** @type {[number, number][]} */
  const set = [];
  for (let bar = start; bar !== end; bar += step) {
    if (from && bar !== start) {
      const share = ((bar + 0.5) / bars - from.x) / (to.x - from.x);
      set.push([bar, valueAt(from.y + (to.y - from.y) * share, axis)]);
    }
  }
  return [...set, [end, valueAt(to.y, axis)]];
}

/**
 * Returns the `points` of a polyline through the middle of each bar, in a box of 100 x 100.
 * @param {number[]} values
 * @param {Axis} axis
 */
export function polyline(values, axis) {
  return values
    .map((v, i) => `${fixed((100 * (i + 0.5)) / values.length)},${fixed(100 - 100 * heightOf(v, axis))}`)
    .join(" ");
}

/**
 * Returns the `points` of a curve over the run, drawn to both ends, in a box of 100 x 100.
 * @param {Point[]} points
 * @param {Axis} axis
 */
export function curveLine(points, axis) {
  const first = points[0]?.factor ?? 1;
  const last = points[points.length - 1]?.factor ?? 1;
  const all = [{ percent: 0, factor: first }, ...points, { percent: 1, factor: last }];
  return all.map((p) => `${fixed(100 * p.percent)},${fixed(100 - 100 * heightOf(p.factor, axis))}`).join(" ");
}

/**
 * Returns the index of the point near a position, -1 if there is none.
 * @param {Point[]} points
 * @param {Place} place
 * @param {Axis} axis
 * @param {number} aspect width of the area / its height
 */
export function pointAt(points, place, axis, aspect) {
  const far = points.map((p) => Math.hypot(p.percent - place.x, (1 - heightOf(p.factor, axis) - place.y) / aspect));
  const near = far.indexOf(Math.min(...far));
  return far[near] <= CLOSE ? near : -1;
}

/**
 * Returns the points with one moved to a position. It stays between its neighbours, and does not move if they leave no
 * room. Only a factor that is already negative may stay negative.
 * @param {Point[]} points
 * @param {number} index
 * @param {Point} to
 * @returns {Point[]}
 */
export function movePoint(points, index, to) {
  const own = points[index].percent;
  const low = index > 0 ? Math.min(own, points[index - 1].percent + GAP) : 0;
  const high = index < points.length - 1 ? Math.max(own, points[index + 1].percent - GAP) : 1;
  const percent = clamp(Math.round(to.percent * 1000) / 1000, low, high);
  const factor = Math.max(Math.min(0, points[index].factor), to.factor);
  return points.map((p, i) => (i === index ? { percent, factor } : p));
}

/**
 * Returns the percent half-way from a point to the next one, or to the end; null if that leaves no room between them.
 * @param {Point[]} points
 * @param {number} index
 */
export function behind(points, index) {
  const from = points[index]?.percent ?? 0;
  const to = points[index + 1]?.percent ?? 1;
  return to - from < 2 * GAP - 1e-9 ? null : (from + to) / 2;
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Returns the next of the round numbers. @param {number} value above 0 */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const nice = NICE.find((n) => n * power >= value - 1e-9);
  return (nice ?? 10) * power;
}

/** @param {number} value */
function fixed(value) {
  return String(Math.round(value * 100) / 100);
}
