/** js/scales.js says what cnet_core/control/scales.py says: both are held against tests/block_scales.json. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  curveAt,
  formatCurve,
  formatScales,
  parseCurve,
  parseCustom,
  parseScales,
  profileScales,
  resample,
} from "../../js/scales.js";

const golden = JSON.parse(readFileSync(new URL("../block_scales.json", import.meta.url), "utf8"));

/** @param {number[]} found @param {number[]} expected */
function near(found, expected, tolerance = 6e-5) {
  assert.equal(found.length, expected.length);
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= tolerance, `${found} is not ${expected}`));
}

for (const { profile, base, values, source } of golden.profiles) {
  test(`${profile} of ${values.length}: ${source}`, () => near(profileScales(profile, base, values.length), values));
}

for (const { text, numbers } of golden.scale_texts) {
  test(`scales read from ${JSON.stringify(text)}`, () => assert.deepEqual(parseScales(text), numbers));
}

for (const { text, blocks, values } of golden.custom_texts) {
  test(`custom scales of ${JSON.stringify(text)}`, () => {
    const found = parseCustom(text, blocks);
    if (values && found) near(found, values, 1e-12);
    else assert.equal(found, values);
  });
}

for (const { numbers, text } of golden.scale_forms) {
  test(`scales written as ${JSON.stringify(text)}`, () => assert.equal(formatScales(numbers), text));
}

for (const { text, points, at } of golden.curve_texts) {
  test(`curve read from ${JSON.stringify(text)}`, () => {
    const found = parseCurve(text);
    assert.deepEqual(found?.map((p) => [p.percent, p.factor]) ?? null, points);
    for (const [percent, factor] of at ?? []) near([curveAt(found, percent)], [factor], 1e-12);
    if (found) assert.deepEqual(parseCurve(formatCurve(found)), found);
  });
}

test("a profile that is not known, custom, and other numbers of blocks have no scales", () => {
  assert.equal(profileScales("custom", 0.825, 13), null);
  assert.equal(profileScales("gentle", 0.825, 13), null);
  assert.equal(profileScales("soft", 0.825, 12), null);
});

test("other numbers of blocks are read off at the same depth", () => {
  near(resample([0, 1, 2], 5), [0, 0.5, 1, 1.5, 2], 1e-12);
  near(resample(Array(13).fill(0.7), 10), Array(10).fill(0.7), 1e-12);
});
