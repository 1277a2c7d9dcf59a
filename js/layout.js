// @ts-check
/** The elements that the views are made of. */

import { ICONS, make, plot, toolButton } from "./make.js";
import { SIDES } from "./scales.js";

/** @typedef {import("./words.js").Say} Say */

/**
 * Returns the parts of the bars: a row of tools, the area with the bars over the profile's curve, labels, a message.
 * @param {Say} say
 */
export function layOutBars(say) {
  const chosen = make("span", { class: "cnet-chosen" });
  const input = /** @type {HTMLInputElement} */ (
    make("input", { type: "number", step: 0.01, "aria-label": say("value"), class: "cnet-value" })
  );
  const blocks = blockChoice(say("blocks"));
  const buttons = {
    reset: toolButton("reset", ICONS.reset, say("reset")),
    copy: toolButton("copy", ICONS.copy, say("copy")),
    paste: toolButton("paste", ICONS.paste, say("paste")),
  };
  const tools = make("div", { class: "cnet-tools" }, [chosen, input, blocks, ...Object.values(buttons)]);
  const columns = make("div", { class: "cnet-columns" });
  const drawn = layOutArea("cnet-bars", "cnet-curve", columns, say("scales"));
  const groups = make("div", { class: "cnet-groups", "aria-hidden": "true" });
  const ends = layOutEnds(say("detail"), say("layout"));
  const status = make("div", { class: "cnet-status", role: "status" });
  return {
    ...drawn,
    chosen,
    input,
    blocks,
    buttons,
    columns,
    groups,
    status,
    elements: [tools, drawn.area, groups, ends, status],
  };
}

/**
 * Returns the parts of the time curve.
 * @param {Say} say
 */
export function layOutCurve(say) {
  const clear = toolButton("clear", ICONS.reset, say("clear"));
  const head = make("div", { class: "cnet-tools" }, [make("span", { class: "cnet-chosen" }, [say("time")]), clear]);
  const knobs = make("div", { class: "cnet-knobs" });
  const drawn = layOutArea("cnet-time", "cnet-line", knobs, say("time"));
  const invitation = make("span", { class: "cnet-invitation", "aria-hidden": "true" });
  drawn.area.append(invitation);
  const ends = layOutEnds(say("start"), say("end"));
  const status = make("div", { class: "cnet-status", role: "status" });
  return { ...drawn, clear, knobs, invitation, status, elements: [head, drawn.area, ends, status] };
}

/**
 * Returns a row with the labels of an axis's two ends.
 * @param {string} left
 * @param {string} right
 */
function layOutEnds(left, right) {
  return make("div", { class: "cnet-groups", "aria-hidden": "true" }, [
    make("span", { class: "cnet-left" }, [left]),
    make("span", { class: "cnet-right" }, [right]),
  ]);
}

/**
 * Returns an area to draw in: a line at the back, handles in front of it, and the number at the top of its axis.
 * @param {string} kind
 * @param {string} lineKind
 * @param {HTMLElement} front
 * @param {string} label
 */
function layOutArea(kind, lineKind, front, label) {
  const line = /** @type {SVGElement} */ (make("polyline", { class: lineKind }));
  const axis = make("span", { class: "cnet-axis", "aria-hidden": "true" });
  const attributes = { class: `cnet-area ${kind}`, role: "group", "aria-label": label };
  return { line, axis, area: make("div", attributes, [plot(line), front, axis]) };
}

/** @param {string} label @returns {HTMLSelectElement} */
function blockChoice(label) {
  const options = Object.keys(SIDES).map((count) => make("option", { value: count }, [count]));
  return make("select", { "aria-label": label, title: label }, options.reverse());
}
