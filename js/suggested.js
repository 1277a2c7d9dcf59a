// @ts-check
/** Suggested scales: a button on the X-ray that puts them on its ControlNets. */

import { APPLY_OR_ROUTE, putSetting } from "./presets.js";
import { CUSTOM } from "./scales.js";
import { findNodesAbove } from "./upstream.js";
import { chain } from "./widgets.js";

/** @typedef {import("./widgets.js").GraphNode} GraphNode @typedef {import("./widgets.js").App} App */

/** The key of the scales, and of how many ControlNets they are for, in the node's output (nodes/xray.py). */
const SUGGESTED = "cnet_suggested_scales";
const UNSAVED = { serialize: false };
const LATENT = "LATENT";
const NET = "CONTROL_NET";
/** The links that lead from a sampler to its control. */
const LEADS_TO_CONTROL = ["MODEL", "GUIDER", "CONDITIONING", NET];
/** A node with one of these modes does nothing: muted, bypassed. */
const OFF = [2, 4];

/**
 * Adds the button when a run suggests scales, and removes it when the next one does not.
 * @param {GraphNode} node
 * @param {App} app
 * @param {import("./words.js").Say} say
 */
export function offerScales(node, app, say) {
  chain(node, "onExecuted", (/** @type {any} */ output) => {
    const [scales, acted] = output?.[SUGGESTED] ?? [];
    const name = say("useScales");
    removeWidget(node, name);
    if (!scales || findControls(node, app).length !== acted) return; // one of them may be of another kind
    const button = /** @type {any} */ (node).addWidget("button", name, null, () => use(node, app, scales), UNSAVED);
    button.serialize = false;
  });
}

/** @param {GraphNode} node @param {string} name */
function removeWidget(node, name) {
  const place = node.widgets?.findIndex((widget) => widget.name === name) ?? -1;
  if (place >= 0) node.widgets?.splice(place, 1);
}

/**
 * Sets the scales of every ControlNet of the run, as one step of undo.
 * @param {GraphNode} node
 * @param {App} app
 * @param {string} scales
 */
function use(node, app, scales) {
  app.canvas?.emitBeforeChange();
  const values = { profile: CUSTOM, custom_scales: scales };
  findControls(node, app).forEach((control) => putSetting(control, "scales", values));
  app.canvas?.emitAfterChange();
}

/**
 * Returns the nodes that control the run of an X-ray. Its latents lead to the sampler, and no further: the latents that a sampler
 * starts from may come from another run.
 * @param {GraphNode} xray
 * @param {App} app
 * @returns {any[]}
 */
export function findControls(xray, app) {
  const found = findNodesAbove(
    xray,
    /** @type {any} */ (app).graph,
    (input, node) =>
      (LEADS_TO_CONTROL.includes(input.type) && !(input.type === NET && OFF.includes(node.mode))) ||
      (node === xray && input.type === LATENT),
  );
  return found.filter((node) => APPLY_OR_ROUTE.includes(node.comfyClass) && !OFF.includes(node.mode));
}
