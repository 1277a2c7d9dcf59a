// @ts-check
/** Presets: settings to start from, with the source of each number in presets.json. */

import { linked, write } from "./widgets.js";

/** @typedef {import("./widgets.js").GraphNode} GraphNode @typedef {import("./widgets.js").App} App */

/**
 * @typedef {Record<string, [any, string]>} Values input -> value, and the source that says so
 * @typedef {{id: string, title: string, ApplyControlNet?: Values, CFGHintRouting?: Values, BlockScaleSchedule?: Values}} Preset
 */

const APPLY = "ApplyControlNet";
/** Nodes that take these settings; Route ControlNet has no strength. */
export const APPLY_OR_ROUTE = [APPLY, "RouteControlNet"];
/** The input of a target -> the node that a preset puts there. */
const SETTINGS = /** @type {const} */ ({ routing: "CFGHintRouting", scales: "BlockScaleSchedule" });
/** A preset holds for the whole run: a time curve would override it. */
const ALL_RUN = { time_curve: "" };
/** How far from others a new node stands, with the title above it, and how far down each further try, in pixels. */
const GAP = 40;
const STEP = 20;

/**
 * Returns the commands of the front end, one for each preset; they change the selected nodes.
 * @param {App} app
 * @param {Preset[]} presets
 * @param {import("./words.js").Say} say
 */
export function commandsOf(app, presets, say) {
  return presets.map((preset) => ({
    id: `cnet.preset.${preset.id}`,
    label: say("startFrom", preset.title),
    icon: "pi pi-sliders-h",
    function: () => selectedTargets(app).forEach((node) => apply(app, node, preset)),
  }));
}

/**
 * Returns the entry in the menu of a node that takes presets.
 * @param {App} app
 * @param {GraphNode} node
 * @param {Preset[]} presets
 * @param {import("./words.js").Say} say
 */
export function menuOf(app, node, presets, say) {
  if (!APPLY_OR_ROUTE.includes(node.comfyClass)) return [];
  const options = presets
    .filter((preset) => node.comfyClass === APPLY || preset.CFGHintRouting || preset.BlockScaleSchedule)
    .map((preset) => ({ content: preset.title, callback: () => apply(app, node, preset) }));
  return [{ content: say("startFrom", "…"), has_submenu: true, submenu: { options } }];
}

/**
 * Sets a node to a preset as one step of undo. Inputs that the preset says nothing about stay.
 * @param {App} app
 * @param {GraphNode} node
 * @param {Preset} preset
 */
export function apply(app, node, preset) {
  app.canvas?.emitBeforeChange();
  if (node.comfyClass === APPLY) write(node, valuesOf(preset.ApplyControlNet));
  for (const input of /** @type {(keyof typeof SETTINGS)[]} */ (Object.keys(SETTINGS))) {
    const values = valuesOf(preset[SETTINGS[input]]);
    if (Object.keys(values).length) putSetting(node, input, { ...ALL_RUN, ...values });
  }
  app.canvas?.emitAfterChange();
}

/**
 * Writes values into the node on an input; a new one where there is none, another kind, one that also sets other nodes,
 * or one that gets these values over links.
 * @param {GraphNode} node
 * @param {keyof typeof SETTINGS} input
 * @param {Record<string, any>} values
 */
export function putSetting(node, input, values) {
  write(settingNode(node, input, Object.keys(values)), values);
}

/**
 * @param {any} node
 * @param {keyof typeof SETTINGS} input
 * @param {string[]} names of the values that will be written
 * @returns {GraphNode}
 */
function settingNode(node, input, names) {
  const kind = SETTINGS[input];
  const slot = node.inputs.findIndex((/** @type {any} */ candidate) => candidate.name === input);
  const there = linked(node, [input]).length ? node.getInputNode(slot) : null;
  const isOwn = there?.comfyClass === kind && there.outputs[0].links.length === 1;
  if (isOwn && !linked(there, names).length) return there;
  const added = /** @type {any} */ (globalThis).LiteGraph.createNode(kind);
  node.graph.add(added);
  added.pos = findFreePlace(added, node);
  added.connect(0, node, slot);
  return added;
}

/**
 * Returns the highest place left of a node, not above its top, where a new node covers no other.
 * @param {any} added
 * @param {any} node
 * @returns {[number, number]}
 */
function findFreePlace(added, node) {
  const x = node.pos[0] - GAP - added.size[0];
  const covers = (/** @type {any} */ other, /** @type {number} */ y) =>
    meet(x, added.size[0], other.pos[0], other.size[0]) && meet(y, added.size[1], other.pos[1], other.size[1]);
  const others = node.graph._nodes.filter((/** @type {any} */ other) => other !== added);
  let y = node.pos[1];
  while (others.some((/** @type {any} */ other) => covers(other, y))) y += STEP;
  return [x, y];
}

/**
 * Whether two lengths on one line are nearer than the gap.
 * @param {number} start
 * @param {number} length
 * @param {number} other
 * @param {number} otherLength
 */
function meet(start, length, other, otherLength) {
  return start < other + otherLength + GAP && other < start + length + GAP;
}

/** @param {Values | undefined} values */
function valuesOf(values = {}) {
  return Object.fromEntries(Object.entries(values).map(([name, [value]]) => [name, value]));
}

/** @param {App} app @returns {GraphNode[]} */
function selectedTargets(app) {
  const selected = /** @type {GraphNode[]} */ (Object.values(app.canvas?.selected_nodes ?? {}));
  return selected.filter((node) => APPLY_OR_ROUTE.includes(node.comfyClass));
}
