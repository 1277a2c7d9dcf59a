/** The time curve's keys, on elements that hold no more than the curve uses. */

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { Curve } from "../../js/curve.js";

class Element {
  children = [];
  attributes = {};
  listeners = {};
  style = {};
  classList = { toggle() {} };
  append = (...added) => this.children.push(...added);
  get lastElementChild() {
    return { remove: () => this.children.pop() };
  }
  getAttribute = (name) => this.attributes[name] ?? null;
  setAttribute = (name, value) => (this.attributes[name] = value);
  addEventListener = (kind, act) => (this.listeners[kind] = act);
  focus = () => (document.focused = this);
}

before(() => {
  globalThis.document = { createElement: () => new Element(), createElementNS: () => new Element() };
});

/** Presses a key on a knob of a curve; returns the text it leaves, the knobs drawn, and which one has the focus. */
function press(key, knob, time_curve, linked = []) {
  const settings = { time_curve, linked };
  const write = (changes) => Object.assign(settings, changes);
  const curve = new Curve({ say: (name) => name, settings: () => settings, write, begin() {}, end() {} });
  curve.refresh();
  const { area, knobs } = curve.view;
  knobs.children[knob].focus();
  area.listeners.keydown({ key, target: knobs.children[knob], preventDefault() {}, stopPropagation() {} });
  return [settings.time_curve, knobs.children.length, knobs.children.indexOf(document.focused)];
}

test("Enter adds a point behind the knob, on the curve", () => {
  assert.deepEqual(press("Enter", 0, "0:1, 0.5:0.4"), ["0:1, 0.25:0.7, 0.5:0.4", 3, 1]);
  assert.deepEqual(press("Enter", 0, ""), ["0:1, 0.5:1", 2, 1]);
});

test("Enter adds none where there is no room", () => {
  for (const [knob, text] of [
    [2, "0:1, 0.5:0.4, 1:0"],
    [1, "0:1, 0.99:0.4, 1:0"],
    [0, "0:1, 0.0001:0.4, 1:0"],
  ]) {
    assert.deepEqual(press("Enter", knob, text), [text, 3, knob]);
  }
});

test("a key never leaves a text that is not a curve", () => {
  assert.deepEqual(press("ArrowUp", 2, "0:1, 0.995:0.5, 1:0"), ["0:1, 0.995:0.5, 1:0.01", 3, 2]);
  assert.deepEqual(press("ArrowUp", 1, "0:1, 0.005:0.5, 0.01:0"), ["0:1, 0.005:0.51, 0.01:0", 3, 1]);
});

test("no key changes a curve that comes over a link", () => {
  for (const key of ["Enter", "Insert", "Delete", "Backspace", "ArrowUp", "PageDown", "ArrowRight"]) {
    assert.deepEqual(press(key, 0, "0:1, 0.5:0.4", ["time_curve"]), ["0:1, 0.5:0.4", 2, 0], key);
  }
});
