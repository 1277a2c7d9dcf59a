// @ts-check
/** What the editor of a schedule reads and writes: the node's widgets, and properties for what only concerns the view. */

import { CUSTOM } from "./scales.js";
import { linked, read, write } from "./widgets.js";

/** @typedef {import("./widgets.js").GraphNode} GraphNode @typedef {import("./widgets.js").App} App */
/** @typedef {import("./schedule.js").Settings} Settings */

export const SCHEDULE = ["profile", "base", "custom_scales", "time_curve"];
export const DEFAULT_PROFILE = "soft";
const DEFAULT_BLOCKS = 13;
/** How many moves of a drag share one write into the widgets: Vue nodes redraw the whole node at each write. */
const MOVES = 6;

/**
 * Returns the host of a schedule's views. Within a step of undo, such as a drag, changes are visible at once but reach the
 * widgets only every few moves and at the end.
 * @param {GraphNode} node
 * @param {App} app
 * @param {import("./words.js").Say} say
 * @returns {import("./schedule.js").Host}
 */
export function hostOf(node, app, say) {
  let open = false;
  let moves = 0;
  /** @type {Partial<Settings>} */
  let waiting = {};
  const flush = () => {
    put(node, waiting);
    waiting = {};
  };
  return {
    say,
    settings: () => ({ ...settingsOf(node), ...waiting }),
    write(changes) {
      waiting = { ...waiting, ...changes };
      if (!open || moves++ % MOVES === 0) flush();
    },
    begin() {
      open = true;
      moves = 0;
      app.canvas?.emitBeforeChange();
    },
    end() {
      open = false;
      flush();
      app.canvas?.emitAfterChange();
    },
  };
}

/**
 * Returns the settings in a schedule's widgets and properties.
 * @param {GraphNode} node
 * @returns {Settings}
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
 * Writes settings into the widgets and properties.
 * @param {GraphNode} node
 * @param {Partial<Settings>} changes
 */
function put(node, changes) {
  if (changes.profile === CUSTOM) node.properties.cnet_reference = settingsOf(node).reference;
  if (changes.blocks) node.properties.cnet_blocks = changes.blocks;
  write(node, changes);
}
