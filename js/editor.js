// @ts-check
/** The bars of BlockScaleSchedule: one a block, shallow to deep, the middle last; grouped by resolution. */

import { axisOf, barAt, clamp, heightOf, placeIn, polyline, sweep } from "./geometry.js";
import { layOutBars } from "./layout.js";
import { make, set, tell } from "./make.js";
import { endsSide, groupsOf, nameOf, shortNameOf, shortOf } from "./names.js";
import { CUSTOM, formatNumber, formatScales, isPoints, parseCustom, profileScales, resample } from "./scales.js";
import { complaint, shownScales } from "./schedule.js";

/** @typedef {import("./schedule.js").Settings} Settings @typedef {import("./schedule.js").Host} Host */

const ARROWS = /** @type {Record<string, number>} */ ({ ArrowUp: 0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 });
const MOVES = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1 });

/** The bars and their toolbar. */
export class Bars {
  /** @param {Host} host */
  constructor(host) {
    this.host = host;
    this.view = layOutBars(host.say);
    this.chosen = 0;
    this.hovered = -1; // the bar below the pointer
    this.axis = axisOf([]);
    /** @type {import("./geometry.js").Place | null} */
    this.last = null; // the pointer's last position in a drag
    this.box = { left: 0, top: 0, width: 1, height: 1 }; // of the bars, as it was when the drag began
    this.#listen();
  }

  /** Draws the settings as they are. */
  refresh() {
    const settings = this.host.settings();
    const scales = this.#scales(settings);
    const reference = profileScales(settings.reference, settings.base, scales.length);
    if (!this.last) this.axis = axisOf([...scales, ...(reference ?? [])]);
    this.#matchBars(scales.length);
    this.view.columns.style.setProperty("--zero", `${(100 * heightOf(0, this.axis)).toFixed(1)}%`);
    scales.forEach((scale, i) => this.#drawBar(i, scale, scales.length));
    set(this.view.line, { points: reference ? polyline(reference, this.axis) : "" });
    tell(this.view.axis, formatNumber(this.axis.top));
    tell(this.view.status, complaint(settings, this.host.say));
    this.view.area.classList.toggle("locked", this.#locked(settings));
    this.view.blocks.value = String(scales.length);
    this.view.blocks.disabled = this.#locked(settings);
    this.#drawChosen(scales);
  }

  #listen() {
    const { buttons } = this.view;
    buttons.reset.addEventListener("click", () => this.#write({ profile: this.host.settings().reference }));
    buttons.copy.addEventListener("click", () => this.#copyButton());
    buttons.paste.addEventListener("click", () => this.#pasteButton());
    this.view.area.addEventListener("pointerdown", (event) => this.#grab(event));
    this.view.area.addEventListener("mousedown", (event) => event.preventDefault()); // it would take the focus away
    this.view.area.addEventListener("pointermove", (event) => (this.last ? this.#drag(event) : this.#hover(event)));
    this.view.area.addEventListener("pointerleave", () => this.#hover(null));
    this.view.area.addEventListener("dblclick", (event) => this.#resetBar(event));
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.view.area.addEventListener(kind, () => this.release());
    }
    this.view.area.addEventListener("keydown", (event) => this.#key(event));
    this.view.area.addEventListener("focusin", (event) => this.#choose(this.#indexOf(event.target)));
    this.view.area.addEventListener("copy", (event) => this.#copy(event));
    this.view.area.addEventListener("paste", (event) => this.#paste(event.clipboardData?.getData("text") ?? "", event));
    this.view.input.addEventListener("change", () => this.#setOne(this.chosen, Number(this.view.input.value)));
    this.view.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") this.#focus(this.chosen);
    });
    this.view.blocks.addEventListener("change", () => this.#changeBlocks(Number(this.view.blocks.value)));
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    if (event.button !== 0 || this.#locked(this.host.settings())) return;
    this.view.area.setPointerCapture(event.pointerId);
    this.host.begin();
    this.box = this.view.columns.getBoundingClientRect();
    this.#drag(event);
    this.#focus(barAt(/** @type {any} */ (this.last).x, this.view.columns.children.length));
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const place = placeIn(event, this.box);
    const scales = this.#scales(this.host.settings());
    for (const [bar, value] of sweep(this.last, place, scales.length, this.axis)) {
      scales[bar] = value;
      this.chosen = bar;
    }
    this.last = place;
    this.#writeScales(scales);
  }

  /** Ends a drag, if there is one. */
  release() {
    if (!this.last) return;
    this.last = null;
    this.host.end();
    this.refresh();
    this.#focus(this.chosen);
  }

  /** Shows the bar below the pointer in the row of tools. @param {PointerEvent | null} event */
  #hover(event) {
    const hovered = event ? this.#barOf(event) : -1;
    if (hovered === this.hovered) return;
    this.hovered = hovered;
    this.#drawChosen(this.#scales(this.host.settings()));
  }

  /** Gives a bar the value of the profile behind it again. @param {MouseEvent} event */
  #resetBar(event) {
    const { reference, base } = this.host.settings();
    const bar = this.#barOf(event);
    const value = profileScales(reference, base, this.view.columns.children.length)?.[bar];
    if (value !== undefined) this.#setOne(bar, value);
  }

  /** @param {MouseEvent} event */
  #barOf(event) {
    const place = placeIn(event, this.view.columns.getBoundingClientRect());
    return barAt(place.x, this.view.columns.children.length);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const scales = this.#scales(this.host.settings());
    const value = scales[this.chosen];
    if (event.key in ARROWS) this.#setOne(this.chosen, value + ARROWS[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home" || event.key === "Delete" || event.key === "Backspace") this.#setOne(this.chosen, 0);
    else if (event.key === "End") this.#setOne(this.chosen, 1);
    else if (event.key in MOVES) this.#focus(clamp(this.chosen + MOVES[event.key], 0, scales.length - 1));
    else if (/^[0-9.,-]$/.test(event.key)) return this.#type(event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Lets a digit pressed on a bar begin a typed value. @param {KeyboardEvent} event */
  #type(event) {
    this.view.input.value = "";
    this.view.input.focus();
    event.stopPropagation();
  }

  /** @param {ClipboardEvent} event */
  #copy(event) {
    event.clipboardData?.setData("text/plain", formatScales(this.#scales(this.host.settings())));
    event.preventDefault();
  }

  /**
   * @param {string} text
   * @param {Event} [event]
   */
  #paste(text, event) {
    event?.preventDefault();
    const scales = parseCustom(text, this.host.settings().blocks);
    if (!scales?.length) tell(this.view.status, this.host.say("notNumbers"));
    else this.#write({ custom_scales: isPoints(text) ? text.trim() : formatScales(scales), profile: CUSTOM });
  }

  async #copyButton() {
    if (!navigator.clipboard) return this.#useKeys();
    await navigator.clipboard.writeText(formatScales(this.#scales(this.host.settings()))).catch(() => this.#useKeys());
  }

  async #pasteButton() {
    const text = await navigator.clipboard?.readText().catch(() => null);
    if (text == null) this.#useKeys();
    else this.#paste(text);
  }

  /** Pages served by another machine may not use the clipboard API; Ctrl+C and Ctrl+V always work. */
  #useKeys() {
    this.#focus(this.chosen);
    tell(this.view.status, this.host.say("keys"));
  }

  /** @param {number} blocks */
  #changeBlocks(blocks) {
    const settings = this.host.settings();
    const fixed = settings.profile === CUSTOM && !isPoints(settings.custom_scales);
    const scales = resample(this.#scales(settings), blocks);
    this.#write({ blocks, ...(fixed ? { custom_scales: formatScales(scales) } : {}) });
  }

  /**
   * @param {number} bar
   * @param {number} value
   */
  #setOne(bar, value) {
    const scales = this.#scales(this.host.settings());
    scales[bar] = Math.round(value * 1e4) / 1e4;
    if (Number.isFinite(value)) this.#write(this.#asCustom(scales));
  }

  /** Writes the scales within a drag. @param {number[]} scales */
  #writeScales(scales) {
    this.host.write(this.#asCustom(scales));
    this.refresh();
  }

  /**
   * @param {number[]} scales
   * @returns {Partial<Settings>}
   */
  #asCustom(scales) {
    return { custom_scales: formatScales(scales), profile: CUSTOM };
  }

  /** Writes as one step of undo. @param {Partial<Settings>} changes */
  #write(changes) {
    if (this.#locked(this.host.settings())) return;
    this.host.begin();
    this.host.write(changes);
    this.host.end();
    this.refresh();
  }

  /** Returns the scales of the bars: where the text is not usable, those of the curve behind. @param {Settings} settings */
  #scales(settings) {
    const scales = shownScales(settings);
    return scales.length ? scales : (profileScales(settings.reference, settings.base, settings.blocks) ?? []);
  }

  /** @param {Settings} settings */
  #locked(settings) {
    return settings.linked.some((name) => name === "profile" || name === "custom_scales");
  }

  /** @param {number} count */
  #matchBars(count) {
    if (this.view.columns.children.length === count) return;
    const bars = Array.from({ length: count }, () => make("div", { class: "cnet-bar", role: "slider", tabindex: -1 }));
    this.view.columns.replaceChildren(...bars);
    this.view.groups.replaceChildren(...groupsOf(count, this.host.say));
    this.chosen = clamp(this.chosen, 0, Math.max(count - 1, 0));
  }

  /**
   * @param {number} index
   * @param {number} scale
   * @param {number} count
   */
  #drawBar(index, scale, count) {
    const bar = /** @type {HTMLElement} */ (this.view.columns.children[index]);
    const text = formatNumber(scale);
    const [bottom, top] = [Math.min(scale, 0), Math.max(scale, 0)].map((value) => 100 * heightOf(value, this.axis));
    bar.style.setProperty("--bottom", `${bottom.toFixed(1)}%`);
    bar.style.setProperty("--height", `${(top - bottom).toFixed(1)}%`);
    bar.style.setProperty("--top", `${top.toFixed(1)}%`);
    bar.classList.toggle("last-of-side", endsSide(index, count));
    bar.classList.toggle("negative", scale < 0);
    set(bar, {
      "aria-valuenow": text,
      "aria-valuetext": text,
      "aria-valuemin": formatNumber(this.axis.low),
      "aria-valuemax": formatNumber(this.axis.top),
    });
    set(bar, {
      "data-short": shortOf(scale),
      "aria-orientation": "vertical",
      "aria-label": nameOf(index, count, this.host.say),
    });
  }

  /** @param {number[]} scales */
  #drawChosen(scales) {
    [...this.view.columns.children].forEach((bar, i) => set(bar, { tabindex: i === this.chosen ? 0 : -1 }));
    const shown = this.hovered >= 0 ? this.hovered : this.chosen;
    tell(this.view.chosen, scales.length ? shortNameOf(shown, scales.length, this.host.say) : "");
    if (document.activeElement !== this.view.input) this.view.input.value = formatNumber(scales[shown] ?? 0);
  }

  /** @param {number} index */
  #choose(index) {
    if (index < 0) return;
    this.chosen = index;
    this.#drawChosen(this.#scales(this.host.settings()));
  }

  /** @param {number} index */
  #focus(index) {
    /** @type {HTMLElement | undefined} */ (this.view.columns.children[index])?.focus({ preventScroll: true });
  }

  /** @param {EventTarget | null} target */
  #indexOf(target) {
    return [...this.view.columns.children].indexOf(/** @type {Element} */ (target));
  }
}
