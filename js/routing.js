// @ts-check
/** What CFGHintRouting does: how much of the hint each branch of guidance gets, and how much of it remains in the picture. */

import { make, set, tell } from "./make.js";
import { formatNumber } from "./scales.js";
import { Strip, parseStages } from "./stages.js";

/**
 * @typedef {object} Routing
 * @property {string} mode
 * @property {number} cond_weight
 * @property {number} uncond_weight
 * @property {number} target_gain
 * @property {string} [time_curve]
 * @property {number} cfg
 *
 * @typedef {{cond: number, uncond: number, total: number}} Gains
 */

/** From this CFG scale up `target_gain` leaves the cond gain at 1; below, its uncond gain would grow without bound. */
const FULL_COND_FROM = 1.5;

/** @type {Record<string, (routing: Routing) => [number, number]>} cond and uncond gain, as cnet_core/control/routing.py */
const GAINS = {
  both: () => [1, 1],
  cond_only: () => [1, 0],
  uncond_only: () => [0, 1],
  weighted: ({ cond_weight, uncond_weight }) => [cond_weight, uncond_weight],
  target_gain: ({ target_gain, cfg }) => gainsForTotal(target_gain, cfg),
  none: () => [0, 0],
};

/** The inputs that every mode uses. */
const ALWAYS = ["mode", "time_curve"];

/** @type {Record<string, string[]>} the further inputs that a mode uses */
const USED = { weighted: ["cond_weight", "uncond_weight"], target_gain: ["target_gain"] };

/**
 * Returns the gain of each branch and of the picture, eps = u + cfg (c - u); null for an unknown mode.
 * @param {Routing} routing
 * @returns {Gains | null}
 */
export function gainsOf(routing) {
  const gains = GAINS[routing.mode]?.(routing);
  if (!gains) return null;
  const [cond, uncond] = gains;
  return { cond, uncond, total: uncond + routing.cfg * (cond - uncond) };
}

/**
 * Returns cond and uncond gain with cond * cfg + uncond * (1 - cfg) = total, as _gains_for_total in cnet_core/control/routing.py.
 * @param {number} total
 * @param {number} cfg
 * @returns {[number, number]}
 */
function gainsForTotal(total, cfg) {
  if (cfg >= FULL_COND_FROM) return [1, (cfg - total) / (cfg - 1)];
  if (cfg <= 1) return [total, cfg === 1 ? 0 : total];
  const span = FULL_COND_FROM - 1;
  return [total + ((1 - total) * (cfg - 1)) / span, total + ((1 - total) * cfg) / span];
}

/**
 * Returns the stages of a routing: one without a time curve, and where its text is wrong.
 * @param {Routing} routing
 * @returns {{stages: import("./stages.js").Stage[], wrong: boolean}}
 */
export function stagesOf({ mode, time_curve = "" }) {
  const stages = parseStages(time_curve, mode, Object.keys(GAINS));
  return { stages: stages ?? [{ percent: 0, mode }], wrong: stages === null };
}

/**
 * Returns the inputs that no stage of a routing uses.
 * @param {Routing} routing
 * @param {string[]} names
 */
export function unusedInputs(routing, names) {
  const used = stagesOf(routing).stages.flatMap(({ mode }) => USED[mode] ?? []);
  return names.filter((name) => !ALWAYS.includes(name) && !used.includes(name));
}

/**
 * Returns the CFG scale of the first sampler or guider that a node's outputs lead to; null if there is none.
 * @param {import("./widgets.js").GraphNode} node
 * @returns {number | null}
 */
export function samplerCfg(node) {
  const seen = new Set([node]);
  for (const here of seen) {
    const cfg = here.widgets?.find((widget) => widget.name === "cfg" || widget.name === "cfg_cond2_negative");
    if (cfg && here !== node) return Number(cfg.value);
    (here.outputs ?? []).forEach((_, slot) => here.getOutputNodes(slot)?.forEach((next) => seen.add(next))); // a Set hands out what is added while it is walked
  }
  return null;
}

/** The diagram: the hint, an arrow to each branch as thick as its gain, and the sum. */
export class Diagram {
  /** @param {import("./words.js").Say} say */
  constructor(say) {
    this.say = say;
    this.strip = new Strip(say, () => this.#draw());
    this.cond = arrow("M 46 50 C 80 50 70 24 112 24");
    this.uncond = arrow("M 46 50 C 80 50 70 76 112 76");
    this.total = arrow("M 190 50 L 234 50");
    this.texts = { cond: text(150, 18), uncond: text(150, 92), total: text(265, 32), cfg: text(265, 78) };
    const nodes = [
      box(4, 36, 42, 28, say("hint")),
      box(112, 26, 76, 18, say("prompt")),
      box(112, 56, 76, 18, say("negative")),
      box(236, 36, 58, 28, say("picture")),
    ];
    const drawn = [this.cond, this.uncond, this.total, ...nodes, ...Object.values(this.texts)];
    this.svg = make("svg", { viewBox: "0 0 300 100", role: "img", class: "cnet-diagram" }, drawn);
    this.note = make("div", { class: "cnet-status" });
    this.elements = [this.svg, this.strip.element, this.note];
    /** @type {Routing | null} */
    this.routing = null;
    this.found = false;
  }

  /**
   * Draws a routing.
   * @param {Routing} routing
   * @param {boolean} found whether the CFG scale is that of a sampler
   */
  refresh(routing, found) {
    this.routing = routing;
    this.found = found;
    this.#draw();
  }

  /** Draws the chosen stage. */
  #draw() {
    const { routing, found } = this;
    if (!routing) return;
    const { stages, wrong } = stagesOf(routing);
    const gains = gainsOf({ ...routing, mode: this.strip.show(stages).mode });
    if (!gains) return;
    for (const branch of /** @type {const} */ (["cond", "uncond", "total"])) {
      thicken(this[branch], gains[branch]);
      tell(this.texts[branch], `× ${formatNumber(gains[branch])}`);
    }
    tell(this.texts.cfg, `CFG ${formatNumber(routing.cfg)}`);
    const numbers = [gains.cond, gains.uncond, routing.cfg, gains.total].map(formatNumber);
    const sentence = routing.cfg === 1 ? this.say("cannot", numbers[0]) : this.say("diagram", ...numbers);
    set(this.svg, { "aria-label": sentence });
    if (wrong) tell(this.note, this.say("notStages"));
    else tell(this.note, found ? sentence : `${sentence} ${this.say("assumed")}`);
  }
}

/** @param {string} path */
function arrow(path) {
  return make("path", { d: path, class: "cnet-arrow", fill: "none" });
}

/**
 * @param {Element} path
 * @param {number} gain
 */
function thicken(path, gain) {
  set(path, { "stroke-width": gain === 0 ? 1 : Math.min(1.5 + 2 * Math.abs(gain), 14) });
  path.classList.toggle("none", gain === 0);
  path.classList.toggle("negative", gain < 0);
}

/**
 * @param {number} x
 * @param {number} y
 */
function text(x, y) {
  return make("text", { x, y, class: "cnet-number" });
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {string} label
 */
function box(x, y, width, height, label) {
  const shape = make("rect", { x, y, width, height, rx: 4, class: "cnet-box" });
  return make("g", {}, [shape, make("text", { x: x + width / 2, y: y + height / 2 + 4 }, [label])]);
}
