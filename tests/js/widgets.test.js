/** A node is watched while it is in a graph, and only then; its view keeps to the node's width. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { addView, grey, growForPicture, limitHeight, nameHiddenField, watch } from "../../js/widgets.js";

/** Returns a watched node, with a function that says how often it is looked at in a second. */
function watched(t, node = {}) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let looks = 0;
  watch(node, () => looks++, Object);
  const looksInASecond = () => {
    const before = looks;
    t.mock.timers.tick(1000);
    return looks - before;
  };
  return { node, looksInASecond };
}

test("a node that is never added, as the clone that copying makes, is never looked at", (t) => {
  assert.equal(watched(t).looksInASecond(), 0);
});

test("a node is looked at from its adding to its removal, and again when it is added again", (t) => {
  const { node, looksInASecond } = watched(t);
  for (const _ of [1, 2]) {
    node.onAdded({});
    assert.equal(looksInASecond(), 10);
    node.onRemoved();
    assert.equal(looksInASecond(), 0);
  }
});

test("a node that is in a graph already is looked at, and once only if it is added twice", (t) => {
  const { node, looksInASecond } = watched(t, { graph: {} });
  assert.equal(looksInASecond(), 10);
  node.onAdded({});
  assert.equal(looksInASecond(), 10);
});

test("what others do when a node is added or removed is still done", (t) => {
  const told = [];
  const others = { onAdded: (graph) => told.push(graph), onRemoved: () => told.push("removed") };
  const { node } = watched(t, others);
  node.onAdded("added");
  node.onRemoved();
  assert.deepEqual(told, ["added", "removed"]);
});

test("a properties panel cannot make a view as narrow as itself, and shows no row for it", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const widget = {};
  const options = {};
  const node = {
    size: [200, 100],
    computeSize: () => [200, 400],
    setSize: () => {},
    addDOMWidget: (_name, _type, _element, given) => (Object.assign(options, given), widget),
  };
  addView({}, node, "view", { addEventListener: () => {}, classList: {} }, 300);
  widget.width = 213;
  assert.equal(widget.width, undefined);
  assert.equal(options.hideInPanel, true);
});

test("a node grows for the picture of its first run alone, and never shrinks", (t) => {
  const style = new Map();
  const element = { style: { setProperty: (name, value) => style.set(name, value) } };
  globalThis.document = { querySelector: (selector) => (selector === '[data-node-id="7"]' ? element : null) };
  t.after(() => delete globalThis.document);
  const node = { id: 7, size: [500, 100], properties: {}, setSize: (size) => (node.size = size) };
  growForPicture(node, [420, 560]);
  node.onExecuted({});
  assert.deepEqual(node.size, [500, 560]);
  assert.deepEqual([...style.values()], ["500px", "560px"]);
  node.size = [300, 200];
  node.onExecuted({});
  assert.deepEqual(node.size, [300, 200]);
});

test("greying is drawn at once, not at the next move of the pointer", () => {
  let drawn = 0;
  const widgets = [{ name: "mode" }, { name: "weight" }, { name: "other", disabled: true }];
  grey({ widgets, setDirtyCanvas: () => drawn++ }, ["weight"], ["mode", "weight"]);
  assert.deepEqual(
    widgets.map((widget) => widget.disabled),
    [false, true, true],
  );
  assert.equal(drawn, 1);
});

test("a text field keeps its height, and gives up its room while its text comes over a link", () => {
  const options = {};
  let isLinked = false;
  const node = {
    widgets: [{ name: "captions", options }],
    inputs: [{ name: "captions", widget: { name: "captions" } }],
    isInputConnected: () => isLinked,
  };
  limitHeight(node, "captions", 100);
  const heights = () => [options.getMinHeight(), options.getMaxHeight()];
  assert.deepEqual(heights(), [50, 100]);
  isLinked = true;
  assert.deepEqual(heights(), [20, 20]);
});

/** Returns what a canvas writes on a node with a field whose text comes over a link, or does not. */
function writtenNames(connectionSuppressed, flags = {}) {
  const written = [];
  const pen = { save() {}, restore() {}, fillText: (...given) => written.push(given) };
  const node = {
    widgets: [{ name: "captions", connectionSuppressed, y: 140 }],
    inputs: [{ name: "captions", widget: { name: "captions" }, localized_name: "Untertitel" }],
    onDrawForeground: () => written.push("before"),
    flags,
  };
  nameHiddenField(node, "captions");
  node.onDrawForeground(pen);
  return written;
}

test("a field that its link hides has its name drawn beside its socket", () => {
  globalThis.LiteGraph = { NODE_TEXT_COLOR: "#aaa" };
  assert.deepEqual(writtenNames(true), ["before", ["Untertitel", 20, 155]]);
  assert.deepEqual(writtenNames(false), ["before"]);
  assert.deepEqual(writtenNames(true, { collapsed: true }), ["before"]);
  delete globalThis.LiteGraph;
});
