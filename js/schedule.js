// @ts-check
/** The settings of BlockScaleSchedule, and the scales that they mean. */

import { CUSTOM, SIDES, parseScales, profileScales } from "./scales.js";

/**
 * @typedef {object} Settings what the node's widgets and properties hold
 * @property {string} profile
 * @property {number} base
 * @property {string} custom_scales
 * @property {string} time_curve
 * @property {number} blocks 13 or 10, for profiles that fit both
 * @property {string} reference the profile whose curve is drawn behind custom bars
 * @property {string[]} linked inputs that come over a link
 *
 * @typedef {object} Host
 * @property {import("./words.js").Say} say
 * @property {() => Settings} settings
 * @property {(changes: Partial<Settings>) => void} write
 * @property {() => void} begin opens one step of undo
 * @property {() => void} end closes it
 */

/**
 * Returns the scales of the settings; empty if the text holds none.
 * @param {Settings} settings
 */
export function shownScales(settings) {
  const scales = profileScales(settings.profile, settings.base, settings.blocks);
  return scales ?? parseScales(settings.custom_scales) ?? [];
}

/**
 * Returns what is wrong with the settings, or "".
 * @param {Settings} settings
 * @param {import("./words.js").Say} say
 */
export function complaint(settings, say) {
  const links = settings.linked.filter((name) => name !== "time_curve");
  if (links.length) return say("link", links.join(", "));
  if (profileScales(settings.profile, settings.base, settings.blocks)) return "";
  if (settings.profile !== CUSTOM) return say("unknown", settings.profile);
  const scales = parseScales(settings.custom_scales);
  if (!scales) return say("notNumbers");
  if (scales.length === 0) return say("empty");
  return scales.length in SIDES ? "" : say("count", scales.length);
}
