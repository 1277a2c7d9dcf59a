/** Each number of a preset has a source; a preset sets a node, and adds and wires what it needs. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { apply, commandsOf, menuOf } from "../../js/presets.js";
import { wordsOf } from "../../js/words.js";

const { presets, sources } = JSON.parse(readFileSync(new URL("../../js/presets.json", import.meta.url), "utf8"));
const say = wordsOf("en");
const KINDS = ["ApplyControlNet", "CFGHintRouting", "BlockScaleSchedule"];

for (const preset of presets) {
  test(`${preset.id}: every number has a source, and something is set`, () => {
    const values = KINDS.flatMap((kind) => Object.values(preset[kind] ?? {}));
    assert.ok(values.length);
    for (const [, source] of values) assert.match(sources[source].url, /^https:\/\//);
    assert.equal(presets.filter(({ id }) => id === preset.id).length, 1);
  });
}

test("every source is used", () => {
  const used = JSON.stringify(presets);
  for (const source of Object.keys(sources)) assert.ok(used.includes(`"${source}"`), source);
});

/** A graph with one Apply node; nodes are made as LiteGraph does. */
function setting() {
  const steps = [];
  const app = { canvas: { emitBeforeChange: () => steps.push("open"), emitAfterChange: () => steps.push("close") } };
  const make = (comfyClass, names) => ({
    comfyClass,
    widgets: names.map((name) => ({ name, value: null })),
    inputs: [],
    outputs: [{ links: [] }],
    pos: [0, 0],
    size: [320, 400],
    connect(_, target, slot) {
      target.linked[slot] = this;
      this.outputs[0].links.push(slot);
    },
  });
  const made = [];
  const node = make("ApplyControlNet", ["strength", "end_percent"]);
  Object.assign(node, {
    inputs: [{ name: "model" }, { name: "routing" }, { name: "scales" }],
    linked: {},
    pos: [1000, 100],
    graph: { _nodes: [node], add: (one) => node.graph._nodes.push(one) },
    isInputConnected: (slot) => slot in node.linked,
    getInputNode: (slot) => node.linked[slot] ?? null,
  });
  globalThis.LiteGraph = {
    createNode(kind) {
      made.push(make(kind, [...(kind === "CFGHintRouting" ? ["mode"] : ["profile", "base"]), "time_curve"]));
      return made.at(-1);
    },
  };
  return { app, node, made, steps };
}

const values = (node) => Object.fromEntries(node.widgets.map(({ name, value }) => [name, value]));
const preset = (id) => presets.find((one) => one.id === id);

test("a strength is set in one step of undo, and the rest stays", () => {
  const { app, node, made, steps } = setting();
  apply(app, node, preset("sdxl_canny"));
  assert.deepEqual(values(node), { strength: 0.5, end_percent: null });
  assert.deepEqual([made.length, steps], [0, ["open", "close"]]);
});

test("routing and schedule are added once, wired, and set", () => {
  const { app, node, made } = setting();
  apply(app, node, preset("guess_mode"));
  assert.deepEqual(
    made.map((one) => [one.comfyClass, values(one)]),
    [
      ["CFGHintRouting", { mode: "cond_only", time_curve: "" }],
      ["BlockScaleSchedule", { profile: "soft", base: 0.825, time_curve: "" }],
    ],
  );
  assert.deepEqual([node.linked[1], node.linked[2]], made);
  assert.ok(made.every((one) => one.pos[0] + one.size[0] < node.pos[0]));
  assert.ok(made[1].pos[1] > made[0].pos[1] + made[0].size[1]);
  apply(app, node, preset("webui_prompt"));
  assert.equal(made.length, 2);
  assert.deepEqual([values(made[0]).mode, values(made[1]).profile], ["both", "webui"]);
});

test("a time curve does not override a preset", () => {
  const { app, node, made } = setting();
  apply(app, node, preset("guess_mode"));
  for (const one of made) one.widgets.find(({ name }) => name === "time_curve").value = "0:1, 0.5:0";
  apply(app, node, preset("webui_prompt"));
  assert.deepEqual(
    made.map((one) => values(one).time_curve),
    ["", ""],
  );
});

test("a node that also sets another one stays as it is, and a new one takes its place", () => {
  const { app, node, made } = setting();
  apply(app, node, preset("guess_mode"));
  const [routing, schedule] = made;
  routing.outputs[0].links.push("another");
  apply(app, node, preset("webui_prompt"));
  assert.deepEqual([values(routing).mode, values(schedule).profile], ["cond_only", "webui"]);
  assert.equal(made.length, 3);
  assert.equal(node.linked[1], made[2]);
  assert.equal(values(made[2]).mode, "both");
});

test("commands act on the selected nodes, and Route ControlNet has no strength", () => {
  const { app, node } = setting();
  app.canvas.selected_nodes = { 1: node, 2: { comfyClass: "KSampler" } };
  const command = commandsOf(app, presets, say).find(({ id }) => id === "cnet.preset.sdxl_canny");
  assert.equal(command.label, "Start from Canny for SDXL (diffusers)");
  command.function();
  assert.equal(values(node).strength, 0.5);
  const entries = (comfyClass) => menuOf(app, { comfyClass }, presets, say)[0]?.submenu.options.length;
  assert.equal(entries("ApplyControlNet"), presets.length);
  assert.equal(entries("RouteControlNet"), presets.filter((one) => one.CFGHintRouting).length);
  assert.equal(entries("KSampler"), undefined);
});
