/** The button on the X-ray: which nodes it sets, and what it writes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { offerScales } from "../../js/suggested.js";
import { wordsOf } from "../../js/words.js";

const SCALES = "0, 1, 0";
/** What the X-ray's node puts out: the scales, and that two ControlNets acted. */
const SUGGESTED = { cnet_suggested_scales: [SCALES, 2] };

/**
 * A sampler with two ControlNets on its model, one of them bypassed, and a routed one on its prompt; it starts from latents of
 * another run with a ControlNet of its own. Node 1 is the X-ray.
 */
function graph() {
  const nodes = {
    1: { comfyClass: "ControlXRay", inputs: { model: 3, samples: 2 } },
    2: { comfyClass: "KSampler", inputs: { model: 3, positive: 6, latent_image: 8 } },
    3: { comfyClass: "ApplyControlNet", inputs: { model: 4, scales: null } },
    4: { comfyClass: "ApplyControlNet", inputs: { model: 5, scales: null }, mode: 4 },
    5: { comfyClass: "CheckpointLoaderSimple", inputs: {} },
    6: { comfyClass: "ControlNetApplyAdvanced", inputs: { control_net: 7, image: null } },
    7: { comfyClass: "RouteControlNet", inputs: { scales: 10 } },
    8: { comfyClass: "KSampler", inputs: { model: 9 } },
    9: { comfyClass: "ApplyControlNet", inputs: { model: 5, scales: null } },
    10: { comfyClass: "BlockScaleSchedule", inputs: {} },
  };
  const TYPES = { model: "MODEL", samples: "LATENT", latent_image: "LATENT", positive: "CONDITIONING" };
  const type = (name) => TYPES[name] ?? (name === "control_net" ? "CONTROL_NET" : "BLOCK_SCALES");
  const links = {};
  const made = { _nodes: [], getLink: (id) => links[id], add: (node) => made._nodes.push(node) };
  made.getNodeById = (id) => made._nodes.find((node) => node.id === id);
  for (const [id, { comfyClass, inputs, mode = 0 }] of Object.entries(nodes)) {
    const node = nodeOf(Number(id), comfyClass, made, mode);
    node.inputs = Object.entries(inputs).map(([name, from], slot) => {
      const link = from === null ? null : `${id}.${slot}`;
      if (link) links[link] = { origin_id: from, origin_slot: 0, target_id: node.id, target_slot: slot };
      return { name, type: type(name), link };
    });
    made._nodes.push(node);
  }
  made._nodes.at(-1).outputs = [{ links: ["7.0"] }];
  return made;
}

function nodeOf(id, comfyClass, within, mode = 0) {
  const names = comfyClass === "BlockScaleSchedule" ? ["profile", "custom_scales", "time_curve"] : [];
  return {
    ...{
      id,
      comfyClass,
      mode,
      graph: within,
      inputs: [],
      outputs: [{ links: [] }],
      pos: [0, 0],
      size: [300, 100],
      set: {},
    },
    widgets: names.map((name) => ({ name, value: "" })),
    isInputConnected(slot) {
      return this.inputs[slot].link !== null || slot in this.set;
    },
    getInputNode(slot) {
      return this.set[slot] ?? within.getNodeById(within.getLink(this.inputs[slot].link)?.origin_id) ?? null;
    },
    connect(_, target, slot) {
      target.set[slot] = this;
    },
    addWidget(kind, name, value, callback) {
      this.widgets.push({ type: kind, name, value, callback });
      return this.widgets.at(-1);
    },
  };
}

/** The X-ray with its button, after a run that sends `output`. */
function ran(output, change = () => {}) {
  const within = graph();
  change(within);
  const steps = [];
  const canvas = { emitBeforeChange: () => steps.push("open"), emitAfterChange: () => steps.push("close") };
  const xray = within.getNodeById(1);
  offerScales(xray, { graph: within, canvas }, wordsOf("en"));
  xray.onExecuted(output);
  globalThis.LiteGraph = { createNode: (kind) => nodeOf(100, kind, within) };
  return { within, xray, steps };
}

const valuesOf = (node) => Object.fromEntries(node.widgets.map(({ name, value }) => [name, value]));

test("the button sets every ControlNet of the run, and no other, in one step of undo", () => {
  const { within, xray, steps } = ran(SUGGESTED);
  const [button] = xray.widgets;
  assert.deepEqual([button.type, button.name, button.serialize], ["button", "Use the suggested scales", false]);
  button.callback();
  const expected = { profile: "custom", custom_scales: SCALES, time_curve: "" };
  assert.deepEqual(valuesOf(within.getNodeById(3).set[1]), expected);
  assert.deepEqual(valuesOf(within.getNodeById(10)), expected);
  assert.deepEqual([within.getNodeById(4).set, within.getNodeById(9).set], [{}, {}]);
  assert.deepEqual(steps, ["open", "close"]);
});

test("a time curve stays", () => {
  const { within, xray } = ran(SUGGESTED);
  const curve = within.getNodeById(10).widgets.find(({ name }) => name === "time_curve");
  curve.value = "0:1, 0.5:0";
  xray.widgets[0].callback();
  assert.equal(curve.value, "0:1, 0.5:0");
});

test("without a suggestion there is no button, and the one of the run before goes", () => {
  const { xray } = ran(SUGGESTED);
  xray.onExecuted(SUGGESTED);
  assert.equal(xray.widgets.length, 1);
  xray.onExecuted({ cnet_suggested_scales: [] });
  assert.equal(xray.widgets.length, 0);
  assert.equal(ran({ images: [] }).xray.widgets.length, 0);
});

test("there is no button where a control did not act, or where the X-ray does not see one", () => {
  assert.equal(ran({ cnet_suggested_scales: [SCALES, 1] }).xray.widgets.length, 0);
});

test("a Route ControlNet behind a node that does nothing is not set", () => {
  const off = (within) => (within.getNodeById(6).mode = 4);
  assert.equal(ran(SUGGESTED, off).xray.widgets.length, 0);
  const { within, xray } = ran({ cnet_suggested_scales: [SCALES, 1] }, off);
  xray.widgets[0].callback();
  assert.equal(valuesOf(within.getNodeById(10)).custom_scales, "");
});

test("a schedule that gets its numbers over a link stays, and a new one takes its place", () => {
  const wire = (within) => {
    const schedule = within.getNodeById(10);
    schedule.inputs = [{ name: "custom_scales", type: "STRING", link: "text", widget: { name: "custom_scales" } }];
  };
  const { within, xray } = ran(SUGGESTED, wire);
  xray.widgets[0].callback();
  assert.equal(valuesOf(within.getNodeById(10)).custom_scales, "");
  assert.equal(valuesOf(within.getNodeById(7).set[0]).custom_scales, SCALES);
});
