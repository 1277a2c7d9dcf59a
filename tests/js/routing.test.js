/** What the routing's diagram says: of target_gain what cnet_core/control/routing.py does, both held against tests/target_gains.json. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { gainsOf, samplerCfg, stagesOf, unusedInputs } from "../../js/routing.js";
import { KEYS, LANGUAGES, wordsOf } from "../../js/words.js";

const golden = JSON.parse(readFileSync(new URL("../target_gains.json", import.meta.url), "utf8"));
const NUMBERS = { cond_weight: 0.8, uncond_weight: 0.3, target_gain: 2, cfg: 7.5 };

// eps = u + cfg (c - u): a control in both counts once, in cond alone cfg times, in uncond alone 1 - cfg times.
const CASES = [
  ["both", 1, 1, 1],
  ["cond_only", 1, 0, 7.5],
  ["uncond_only", 0, 1, -6.5],
  ["weighted", 0.8, 0.3, 4.05],
  ["none", 0, 0, 0],
];
for (const [mode, cond, uncond, total] of CASES) {
  test(`${mode} has its gains`, () => {
    const found = gainsOf({ mode, ...NUMBERS });
    assert.deepEqual([found.cond, found.uncond], [cond, uncond]);
    assert.ok(Math.abs(found.total - total) < 1e-12);
  });
}

for (const { cfg, target, cond, uncond, source } of golden.cases) {
  test(`target_gain ${target} at CFG ${cfg}: ${source}`, () => {
    const found = gainsOf({ mode: "target_gain", ...NUMBERS, target_gain: target, cfg });
    const expected = { cond, uncond, total: target };
    for (const key of Object.keys(expected))
      assert.ok(Math.abs(found[key] - expected[key]) < 1e-12, `${key} ${found[key]}`);
  });
}

test("a mode that is not known has none", () => assert.equal(gainsOf({ mode: "sideways", ...NUMBERS }), null));

test("a mode's own inputs are the used ones", () => {
  const names = ["mode", "cond_weight", "uncond_weight", "target_gain"];
  assert.deepEqual(unusedInputs({ mode: "target_gain", ...NUMBERS }, names), ["cond_weight", "uncond_weight"]);
  assert.deepEqual(unusedInputs({ mode: "weighted", ...NUMBERS }, names), ["target_gain"]);
  assert.deepEqual(unusedInputs({ mode: "both", ...NUMBERS }, names), names.slice(1));
  const staged = { mode: "both", ...NUMBERS, time_curve: "0.5:weighted" };
  assert.deepEqual(unusedInputs(staged, [...names, "time_curve"]), ["target_gain"]);
});

test("a time curve has a stage for each pair, and the mode before the first", () => {
  const both = { percent: 0, mode: "both" };
  const rest = [
    { percent: 0.4, mode: "cond_only" },
    { percent: 0.8, mode: "none" },
  ];
  for (const time_curve of ["0:both, 0.4:cond_only, 0.8:none", "0 : both;0.4:cond_only\n.8:none"]) {
    const found = stagesOf({ mode: "weighted", ...NUMBERS, time_curve });
    assert.deepEqual(found, { stages: [both, ...rest], wrong: false });
  }
  const begun = stagesOf({ mode: "both", ...NUMBERS, time_curve: "0.4:cond_only 0.8:none" });
  assert.deepEqual(begun.stages, [both, ...rest]);
  assert.deepEqual(stagesOf({ mode: "both", ...NUMBERS, time_curve: " " }), { stages: [both], wrong: false });
  for (const time_curve of ["both", "0:sideways", "0.5:both, 0.4:none", "2:both", "0:1"]) {
    assert.deepEqual(stagesOf({ mode: "both", ...NUMBERS, time_curve }), { stages: [both], wrong: true });
  }
});

test("the CFG scale is that of the sampler further on", () => {
  const end = {
    widgets: [
      { name: "seed", value: 1 },
      { name: "cfg", value: 4 },
    ],
    outputs: [],
  };
  const middle = { outputs: [{}], getOutputNodes: () => [end] };
  const loop = { outputs: [{}, {}], getOutputNodes: (slot) => (slot ? [middle, loop] : null) };
  assert.equal(samplerCfg(loop), 4);
  assert.equal(samplerCfg({ outputs: [] }), null);
});

test("every language says everything, with the same places for values", () => {
  const places = (language, key) =>
    wordsOf(language)(key, "<0>", "<1>", "<2>", "<3>").match(/<\d>/g)?.sort().join() ?? "";
  for (const language of LANGUAGES) for (const key of KEYS) assert.equal(places(language, key), places("en", key), key);
  assert.equal(wordsOf("xx")("reset"), wordsOf("en")("reset"));
  assert.notEqual(wordsOf("zh-CN")("reset"), wordsOf("en")("reset"));
});

test("a gain never breaks from its sign", () => {
  for (const language of LANGUAGES) {
    assert.doesNotMatch(wordsOf(language)("diagram", "1", "0", "7.5", "7.5"), /× /);
  }
});
