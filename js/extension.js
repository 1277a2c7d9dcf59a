// @ts-check
/** Puts the views on our nodes. Takes `app` as an argument, so that tests can pass a small fake. */

import { Curve } from "./curve.js";
import { Bars } from "./editor.js";
import { make } from "./make.js";
import { Diagram, samplerCfg, unusedInputs } from "./routing.js";
import { CUSTOM, formatScales, parseScales } from "./scales.js";
import { shownScales } from "./schedule.js";
import { addView, grey, keepEvents, linked, onCallback, read, watch, write } from "./widgets.js";
import { wordsOf } from "./words.js";

/** @typedef {import("./widgets.js").GraphNode} GraphNode @typedef {import("./widgets.js").App} App */

const SCHEDULE = ["profile", "base", "custom_scales", "time_curve"];
const ROUTING = ["mode", "cond_weight", "uncond_weight", "target_gain"];
const DEFAULT_BLOCKS = 13;
const DEFAULT_PROFILE = "soft";
const DEFAULT_CFG = 7.5;

/** @type {Record<string, (node: GraphNode, app: App, say: import("./words.js").Say) => void>} */
const VIEWS = { BlockScaleSchedule: addEditor, CFGHintRouting: addDiagram };

/**
 * Returns the extension for ComfyUI.
 * @param {App} app
 */
export function extensionOf(app) {
  return {
    name: "cnet.views",
    /** @param {GraphNode} node */
    nodeCreated(node) {
      const say = wordsOf(app.extensionManager?.setting?.get("Comfy.Locale"));
      VIEWS[node.comfyClass]?.(node, app, say);
    },
  };
}

/** @type {typeof VIEWS[string]} */
function addEditor(node, app, say) {
  const host = { say, settings: () => settingsOf(node), write: writer(node), ...undoOf(app) };
  const views = [new Bars(host), new Curve(host)];
  const element = make(
    "div",
    { class: "cnet-view" },
    views.flatMap((view) => view.view.elements),
  );
  keepEvents(element);
  addView(app, node, "cnet_editor", element, 300);
  keepProfile(node);
  watch(node, host.settings, () => {
    views.forEach((view) => view.refresh());
    grey(node, host.settings().profile === "soft" ? [] : ["base"], SCHEDULE);
  });
}

/** @type {typeof VIEWS[string]} */
function addDiagram(node, app, say) {
  const diagram = new Diagram(say);
  addView(app, node, "cnet_diagram", make("div", { class: "cnet-view" }, diagram.elements), 150);
  const state = () => ({ routing: /** @type {any} */ (read(node, ROUTING)), cfg: samplerCfg(node) });
  watch(node, state, ({ routing, cfg }) => {
    diagram.refresh({ ...routing, cfg: cfg ?? DEFAULT_CFG }, cfg != null);
    grey(node, unusedInputs(routing.mode, ROUTING), ROUTING);
  });
}

/**
 * Returns what a schedule's widgets and properties hold.
 * @param {GraphNode} node
 * @returns {import("./schedule.js").Settings}
 */
export function settingsOf(node) {
  const values = /** @type {any} */ ({
    profile: DEFAULT_PROFILE,
    base: 1,
    custom_scales: "",
    time_curve: "",
    ...read(node, SCHEDULE),
  });
  const reference = values.profile === CUSTOM ? (node.properties.cnet_reference ?? DEFAULT_PROFILE) : values.profile;
  const blocks = node.properties.cnet_blocks ?? DEFAULT_BLOCKS;
  return { ...values, blocks, reference, linked: linked(node, SCHEDULE) };
}

/**
 * Returns the function that writes settings: into the widgets, and into the properties what only concerns the view.
 * @param {GraphNode} node
 */
function writer(node) {
  return (/** @type {Partial<import("./schedule.js").Settings>} */ changes) => {
    if (changes.profile === CUSTOM) node.properties.cnet_reference = settingsOf(node).reference;
    if (changes.blocks) node.properties.cnet_blocks = changes.blocks;
    write(node, changes);
  };
}

/**
 * Lets the profile and the numbers follow each other when a person changes one: `custom` begins with the bars there are,
 * and typed numbers make it `custom`. What a graph holds is never changed by loading it.
 * @param {GraphNode} node
 */
function keepProfile(node) {
  let last = DEFAULT_PROFILE;
  watch(
    node,
    () => settingsOf(node).reference,
    (reference) => (last = reference),
  );
  onCallback(node, "profile", (profile) => {
    if (profile !== CUSTOM) return;
    node.properties.cnet_reference = last;
    const scales = shownScales({ ...settingsOf(node), profile: last });
    if (!settingsOf(node).custom_scales.trim()) write(node, { custom_scales: formatScales(scales) });
  });
  onCallback(node, "custom_scales", (text) => {
    if (isTyped(text) && parseScales(text)?.length) write(node, { profile: CUSTOM });
  });
}

/**
 * Whether a text was just typed: text fields call back when a graph is loaded, too.
 * @param {string} text
 */
function isTyped(text) {
  const focused = document.activeElement;
  return focused instanceof HTMLTextAreaElement && focused.value === text;
}

/**
 * Returns what opens and closes one step of undo.
 * @param {App} app
 */
function undoOf(app) {
  return { begin: () => app.canvas?.emitBeforeChange(), end: () => app.canvas?.emitAfterChange() };
}
