/** What the list of files shows, and in which order. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { labelOf, markFiles, sortNames } from "../../js/fits.js";
import { wordsOf } from "../../js/words.js";

const say = wordsOf("en");
const file = (family, fits, what = "a ControlNet") => ({ what, family, needs_base: false, fits });
const ANSWER = {
  model: { what: "a Stable Diffusion model", family: "SD1.x" },
  files: {
    "xl.safetensors": file("SDXL", false),
    "broken.safetensors": file(null, null),
    "lora.safetensors": file(null, false, "a LoRA"),
    "sd.safetensors": file("SD1.x", true),
  },
  complete: false,
};

test("a file has its family, and one that does not fit the reason", () => {
  assert.equal(labelOf("sd.safetensors", ANSWER, say), "sd.safetensors · SD1.x");
  assert.equal(labelOf("broken.safetensors", ANSWER, say), "broken.safetensors · a ControlNet");
  assert.equal(labelOf("xl.safetensors", ANSWER, say), "✗ xl.safetensors · for SDXL, but the model is SD1.x");
  assert.equal(labelOf("lora.safetensors", ANSWER, say), "✗ lora.safetensors · a LoRA");
});

test("a file that is not known yet, and every file without an answer, is its name", () => {
  assert.equal(labelOf("new.pth", ANSWER, say), "new.pth");
  assert.equal(labelOf("sd.safetensors", null, say), "sd.safetensors");
});

test("files that fit come first, and none is left out", () => {
  const names = ["xl.safetensors", "new.pth", "sd.safetensors", "lora.safetensors"];
  const sorted = ["sd.safetensors", "new.pth", "xl.safetensors", "lora.safetensors"];
  assert.deepEqual(sortNames(names, ANSWER), sorted);
  assert.deepEqual(sortNames(names, null), names);
});

/** A marked node whose base model comes from a loader; `look` lets it look, and the server answer. */
function marked(t, names, answer) {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const loader = { inputs: [], widgets: [{ type: "combo", value: "one.safetensors" }] };
  const graph = { links: { 1: { origin_id: 1, origin_slot: 0 } }, getNodeById: () => loader };
  const options = { values: names };
  const node = {
    graph,
    widgets: [{ name: "control_net_name", value: names[0], options }],
    inputs: [{ name: "base_model", link: 1 }],
    setDirtyCanvas: () => {},
  };
  const server = { answer, asked: 0 };
  const fetchApi = async () => {
    server.asked++;
    return { ok: server.answer !== null, json: async () => server.answer };
  };
  markFiles(node, { graph, api: { fetchApi } }, say);
  const look = async () => {
    now += 1000;
    t.mock.timers.tick(1000);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { loader, options, server, look };
}

const ONLY = (name) => ({ ...ANSWER, complete: true, files: { [name]: file("SD1.x", true) } });

test("the order of an earlier model does not remain", async (t) => {
  const { loader, options, server, look } = marked(t, ["a", "b", "c"], ONLY("c"));
  await look();
  assert.deepEqual(options.values, ["c", "a", "b"]);
  Object.assign(server, { answer: ONLY("b") });
  loader.widgets[0].value = "other.safetensors";
  await look();
  assert.deepEqual(options.values, ["b", "a", "c"]);
});

test("without an answer the marks and the order go", async (t) => {
  const { loader, options, server, look } = marked(t, ["a", "b"], ONLY("b"));
  await look();
  assert.equal(options.getOptionLabel("b"), "b · SD1.x");
  server.answer = null;
  loader.widgets[0].value = "other.safetensors";
  await look();
  assert.deepEqual([options.getOptionLabel("b"), options.values], ["b", ["a", "b"]]);
});

test("a list that a refresh brings is sorted again, and nothing is asked without a change", async (t) => {
  const { options, server, look } = marked(t, ["a", "b"], ONLY("b"));
  await look();
  options.values = ["a", "b"];
  await look();
  assert.deepEqual(options.values, ["b", "a"]);
  const { asked } = server;
  await look();
  assert.equal(server.asked, asked);
});
