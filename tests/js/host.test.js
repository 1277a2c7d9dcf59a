import assert from "node:assert/strict";
import { test } from "node:test";
import { hostOf } from "../../js/host.js";
import { wordsOf } from "../../js/words.js";

/** A schedule's node at its defaults, and the host of its views. */
function opened() {
  /** @type {string[]} */
  const told = [];
  const values = { profile: "soft", base: 0.825, custom_scales: "", time_curve: "" };
  const widgets = Object.entries(values).map(([name, value]) => ({ name, value: /** @type {any} */ (value) }));
  const node = /** @type {any} */ ({ widgets, inputs: [], properties: {} });
  const canvas = { emitBeforeChange: () => told.push("before"), emitAfterChange: () => told.push("after") };
  const valueOf = (/** @type {string} */ name) => widgets.find((widget) => widget.name === name)?.value;
  return { node, told, valueOf, host: hostOf(node, { canvas }, wordsOf("en")) };
}

test("a drag is seen at once, written at its beginning and its end, and is one step of undo", () => {
  const { host, told, valueOf } = opened();
  host.begin();
  for (const time_curve of ["0:1", "0:0.9", "0:0.8"]) host.write({ time_curve });
  assert.equal(valueOf("time_curve"), "0:1");
  assert.equal(host.settings().time_curve, "0:0.8");
  host.end();
  assert.equal(valueOf("time_curve"), "0:0.8");
  assert.deepEqual(told, ["before", "after"]);
});

test("without a drag everything is written at once", () => {
  const { host, valueOf } = opened();
  host.write({ time_curve: "0:1" });
  host.write({ time_curve: "0:0.5" });
  assert.equal(valueOf("time_curve"), "0:0.5");
});

test("custom bars keep the profile that they came from; the number of blocks concerns the view alone", () => {
  const { host, node, valueOf } = opened();
  host.write({ profile: "logspace", blocks: 10 });
  host.begin();
  host.write({ custom_scales: "1, 1", profile: "custom" });
  host.end();
  assert.equal(valueOf("profile"), "custom");
  assert.equal(host.settings().reference, "logspace");
  assert.deepEqual(node.properties, { cnet_blocks: 10, cnet_reference: "logspace" });
});
