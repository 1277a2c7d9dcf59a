// @ts-check
/** The routing over the run: the stages of a text such as `0:both, 0.4:cond_only`, and the strip that shows them. */

import { make, set } from "./make.js";
import { formatNumber, parseCurve } from "./scales.js";

/** @typedef {{percent: number, mode: string}} Stage */

const SEPARATORS = /[,; \t\r\n]+/;
const COLON = /[ \t\r\n]*:[ \t\r\n]*/g;

/**
 * Returns the stages of a text, as parse_stages in cnet_core/control/routing.py; before the first pair holds `mode`. Null if
 * a part is not percent:mode, or if the percents do not rise from 0 to 1.
 * @param {string} text
 * @param {string} mode
 * @param {string[]} modes
 * @returns {Stage[] | null}
 */
export function parseStages(text, mode, modes) {
  const pairs = text
    .replace(COLON, ":")
    .split(SEPARATORS)
    .filter(Boolean)
    .map((part) => part.split(":"));
  if (pairs.some((pair) => pair.length !== 2 || !modes.includes(pair[1]))) return null;
  const points = parseCurve(pairs.map(([percent]) => `${percent}:1`).join(" "));
  if (!points) return null;
  const stages = points.map(({ percent }, i) => ({ percent, mode: pairs[i][1] }));
  return stages[0]?.percent === 0 ? stages : [{ percent: 0, mode }, ...stages];
}

/** A button for each stage, as wide as it lasts; the pressed one is drawn in the diagram. */
export class Strip {
  /**
   * @param {import("./words.js").Say} say
   * @param {() => void} changed called when another stage is pressed
   */
  constructor(say, changed) {
    this.say = say;
    this.changed = changed;
    this.chosen = 0;
    this.element = make("div", { class: "cnet-stages", role: "group", "aria-label": say("stages") });
  }

  /**
   * Shows the stages, and returns the pressed one. One stage alone needs no strip.
   * @param {Stage[]} stages
   * @returns {Stage}
   */
  show(stages) {
    this.chosen = Math.min(this.chosen, stages.length - 1);
    this.element.hidden = stages.length === 1;
    if (this.element.children.length !== stages.length) {
      this.element.replaceChildren(...stages.map((_, i) => this.#button(i)));
    }
    stages.forEach((stage, i) => this.#draw(i, stage, stages[i + 1]?.percent ?? 1));
    return stages[this.chosen];
  }

  /** @param {number} index */
  #button(index) {
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => {
      this.chosen = index;
      this.changed();
    });
    return button;
  }

  /**
   * @param {number} index
   * @param {Stage} stage
   * @param {number} end
   */
  #draw(index, { percent, mode }, end) {
    const button = /** @type {HTMLElement} */ (this.element.children[index]);
    const range = [percent, end].map((place) => `${formatNumber(100 * place)} %`);
    const label = this.say("stage", ...range, mode);
    button.style.flexGrow = formatNumber(end - percent);
    button.textContent = mode;
    set(button, { title: label, "aria-label": label, "aria-pressed": String(index === this.chosen) });
  }
}
