/** Where pointers hit, and what they set. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  axisOf,
  barAt,
  behind,
  curveLine,
  heightOf,
  movePoint,
  placeIn,
  pointAt,
  polyline,
  sweep,
  valueAt,
} from "../../js/geometry.js";
import { formatCurve, parseCurve } from "../../js/scales.js";

const UP_TO_1 = { low: 0, top: 1 };
const UP_TO_2 = { low: 0, top: 2 };
const BOX = { left: 100, top: 50, width: 260, height: 100 };

test("a place is a share of the box, whatever its zoom", () => {
  assert.deepEqual(placeIn({ clientX: 165, clientY: 75 }, BOX), { x: 0.25, y: 0.25 });
});

test("the axis ends at a round number above all values, at 1 or more", () => {
  const tops = [
    [[0.2, 0.9], 1],
    [[1.01], 1.5],
    [[8], 8],
    [[8.2], 10],
    [[16], 20],
    [[], 1],
    [[NaN, 2.5], 3],
  ];
  for (const [values, top] of tops) assert.deepEqual(axisOf(values), { low: 0, top });
});

test("negative values have their place below 0", () => {
  assert.deepEqual(axisOf([-1, 0.5]), { low: -1, top: 1 });
  assert.deepEqual(axisOf([-0.45, 2.5]), { low: -0.5, top: 3 });
  assert.equal(heightOf(-1, { low: -1, top: 3 }), 0);
  assert.equal(heightOf(0, { low: -1, top: 3 }), 0.25);
  assert.deepEqual(
    [1, 0.75, 1.2].map((y) => valueAt(y, { low: -1, top: 3 })),
    [-1, 0, -1],
  );
});

test("places beside the area belong to the outermost bars", () => {
  assert.deepEqual(
    [-0.3, 0, 0.0768, 0.077, 0.999, 1.4].map((x) => barAt(x, 13)),
    [0, 0, 0, 1, 12, 12],
  );
});

test("heights are values in hundredths, above the area too, never below 0", () => {
  assert.deepEqual(
    [1, 0.5, 0, -0.5, 1.2].map((y) => valueAt(y, UP_TO_2)),
    [0, 1, 2, 3, 0],
  );
  assert.equal(valueAt(0.3333, UP_TO_1), 0.67);
});

test("a bar stays in its area", () => {
  assert.deepEqual(
    [-1, 0.5, 9].map((value) => heightOf(value, UP_TO_2)),
    [0, 0.25, 1],
  );
});

test("a press sets one bar", () => {
  assert.deepEqual(sweep(null, { x: 0.5, y: 0.25 }, 13, UP_TO_1), [[6, 0.75]]);
});

test("a fast sweep leaves no bar out, in both directions", () => {
  const [from, to] = [
    { x: 0.05, y: 1 },
    { x: 0.95, y: 0 },
  ];
  const right = sweep(from, to, 10, UP_TO_1);
  assert.deepEqual(
    right.map(([bar]) => bar),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  assert.deepEqual(
    right.map(([, value]) => value),
    [0.11, 0.22, 0.33, 0.44, 0.56, 0.67, 0.78, 0.89, 1],
  );
  assert.deepEqual(
    sweep(to, from, 10, UP_TO_1).map(([bar]) => bar),
    [8, 7, 6, 5, 4, 3, 2, 1, 0],
  );
});

test("lines are drawn in a box of 100", () => {
  assert.equal(polyline([0, 1], UP_TO_2), "25,100 75,50");
  assert.equal(curveLine([{ percent: 0.5, factor: 0.5 }], UP_TO_1), "0,50 50,50 100,50");
  assert.equal(curveLine([], UP_TO_1), "0,0 100,0");
});

test("a point is hit near it alone", () => {
  const points = [
    { percent: 0, factor: 1 },
    { percent: 0.5, factor: 0 },
  ];
  assert.equal(pointAt(points, { x: 0.51, y: 0.98 }, UP_TO_1, 4), 1);
  assert.equal(pointAt(points, { x: 0.25, y: 0.5 }, UP_TO_1, 4), -1);
  assert.equal(pointAt([], { x: 0, y: 0 }, UP_TO_1, 4), -1);
});

test("a factor that is negative already may stay so", () => {
  const points = [{ percent: 0, factor: -0.5 }];
  assert.equal(movePoint(points, 0, { percent: 0, factor: -0.4 })[0].factor, -0.4);
  assert.equal(movePoint(points, 0, { percent: 0, factor: -0.9 })[0].factor, -0.5);
});

test("a point stays between its neighbours and above 0", () => {
  const points = [0, 0.5, 1].map((percent) => ({ percent, factor: 1 }));
  assert.deepEqual(movePoint(points, 1, { percent: 2, factor: -1 })[1], { percent: 0.99, factor: 0 });
  assert.deepEqual(movePoint(points, 0, { percent: -2, factor: 3 })[0], { percent: 0, factor: 3 });
  assert.deepEqual(points[1], { percent: 0.5, factor: 1 });
});

test("a point that has no room keeps its place, whatever else changes", () => {
  const close = [0, 0.985, 0.99, 1].map((percent) => ({ percent, factor: 0.5 }));
  for (const [index, percent] of [
    [1, 1.005],
    [2, 1],
    [2, 0.5],
    [3, 1.01],
  ]) {
    const moved = movePoint(close, index, { percent, factor: 0.6 });
    assert.deepEqual(moved[index], { percent: close[index].percent, factor: 0.6 });
  }
});

test("a point too near to one neighbour moves away from it alone", () => {
  const points = [0, 0.5, 0.505, 1].map((percent) => ({ percent, factor: 1 }));
  assert.equal(movePoint(points, 2, { percent: 0.505, factor: 0.9 })[2].percent, 0.505);
  assert.equal(movePoint(points, 2, { percent: 0.4, factor: 1 })[2].percent, 0.505);
  assert.equal(movePoint(points, 2, { percent: 0.6, factor: 1 })[2].percent, 0.6);
});

test("the last knob of a full curve writes what is read again", () => {
  const points = parseCurve("0:1, 0.995:0.5, 1:0");
  const text = formatCurve(movePoint(points, 2, { percent: 1, factor: 0.01 }));
  assert.equal(text, "0:1, 0.995:0.5, 1:0.01");
});

test("one more point goes half-way to the next or to the end, where there is room", () => {
  const points = [0, 0.01, 0.03, 0.045, 0.25, 0.75].map((percent) => ({ percent, factor: 1 }));
  const places = points.map((_, index) => behind(points, index));
  assert.deepEqual(places, [null, 0.02, null, 0.1475, 0.5, 0.875]);
  assert.equal(behind([], 0), 0.5);
  for (const percent of [0.985, 1]) assert.equal(behind([{ percent, factor: 1 }], 0), null);
});
