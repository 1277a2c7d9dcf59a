// @ts-check
/** The time curve of BlockScaleSchedule: the factor on all scales over the whole run, as points to drag. */

import { axisOf, behind, clamp, curveLine, heightOf, movePoint, placeIn, pointAt, valueAt } from "./geometry.js";
import { layOutCurve } from "./layout.js";
import { make, set, tell } from "./make.js";
import { curveAt, formatCurve, formatNumber, parseCurve } from "./scales.js";

/** @typedef {import("./scales.js").Point} Point */

const STEPS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-0.01, 0],
  ArrowRight: [0.01, 0],
  ArrowUp: [0, 0.01],
  ArrowDown: [0, -0.01],
  PageUp: [0, 0.1],
  PageDown: [0, -0.1],
});

/** The plot. A press between the points adds one; a double press or Delete removes one. */
export class Curve {
  /** @param {import("./schedule.js").Host} host */
  constructor(host) {
    this.host = host;
    this.view = layOutCurve(host.say);
    this.axis = axisOf([]);
    this.held = -1; // the point that the pointer drags
    this.#listen();
  }

  /** Draws the settings as they are. */
  refresh() {
    const points = parseCurve(this.host.settings().time_curve);
    if (this.held < 0) this.axis = axisOf((points ?? []).map((p) => p.factor));
    const drawn = points ?? [];
    set(this.view.line, { points: curveLine(drawn, this.axis) });
    this.view.area.classList.toggle("unused", drawn.length === 0);
    this.view.area.classList.toggle("locked", this.#locked());
    this.#matchKnobs(Math.max(drawn.length, 1));
    if (drawn.length === 0) this.#drawKnob(0, { percent: 0, factor: 1 }, 1);
    drawn.forEach((point, i) => this.#drawKnob(i, point, drawn.length));
    tell(this.view.status, this.#complaint(points));
    tell(this.view.axis, formatNumber(this.axis.top));
    tell(this.view.invitation, drawn.length || this.#locked() ? "" : this.host.say("invite"));
    this.view.clear.disabled = this.#locked() || this.host.settings().time_curve.trim() === "";
  }

  #listen() {
    this.view.area.addEventListener("pointerdown", (event) => this.#grab(event));
    this.view.area.addEventListener("mousedown", (event) => event.preventDefault()); // it would take the focus away
    this.view.area.addEventListener("pointermove", (event) => this.held >= 0 && this.#drag(event));
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.view.area.addEventListener(kind, () => this.release());
    }
    this.view.area.addEventListener("dblclick", (event) => this.#remove(this.#hit(event)));
    this.view.area.addEventListener("keydown", (event) => this.#key(event));
    this.view.clear.addEventListener("click", () => this.#write([]));
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    if (event.button !== 0 || this.#locked()) return;
    this.view.area.setPointerCapture(event.pointerId);
    this.host.begin();
    const hit = this.#hit(event);
    this.held = hit >= 0 ? hit : this.#add(this.#placed(event));
    this.refresh();
    /** @type {HTMLElement} */ (this.view.knobs.children[this.held]).focus({ preventScroll: true });
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    this.host.write({ time_curve: formatCurve(movePoint(this.#points(), this.held, this.#placed(event))) });
    this.refresh();
  }

  /** Ends a drag, if there is one. */
  release() {
    if (this.held < 0) return;
    this.held = -1;
    this.host.end();
    this.refresh();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const index = [...this.view.knobs.children].indexOf(/** @type {Element} */ (event.target));
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in STEPS) this.#step(index, STEPS[event.key], event.shiftKey ? 10 : 1);
    else if (event.key === "Delete" || event.key === "Backspace") this.#remove(index);
    else if (event.key === "Enter" || event.key === "Insert") this.#addBehind(index);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {number} index
   * @param {[number, number]} step
   * @param {number} times
   */
  #step(index, [percent, factor], times) {
    const points = this.#points();
    const point = points[index] ?? { percent: 0, factor: 1 };
    const to = { percent: point.percent + percent * times, factor: point.factor + factor * times };
    this.#write(movePoint(points.length ? points : [point], index, to));
  }

  /** Adds a point half-way to the next one, or to the end, where there is room. @param {number} index */
  #addBehind(index) {
    const points = this.#points();
    const percent = behind(points, index);
    if (percent === null || this.#locked()) return;
    this.host.begin();
    const added = this.#add({ percent, factor: curveAt(points, percent) });
    this.host.end();
    this.refresh();
    /** @type {HTMLElement} */ (this.view.knobs.children[added]).focus({ preventScroll: true });
  }

  /** Adds a point and returns its index; the first one comes with the start of the run. @param {Point} point */
  #add(point) {
    const points = this.#points();
    const others = points.length || point.percent === 0 ? points : [{ percent: 0, factor: 1 }];
    const all = [...others.filter((p) => p.percent !== point.percent), point].sort((a, b) => a.percent - b.percent);
    this.host.write({ time_curve: formatCurve(all) });
    return all.indexOf(point);
  }

  /** @param {number} index */
  #remove(index) {
    if (index >= 0 && !this.#locked()) this.#write(this.#points().filter((_, i) => i !== index));
  }

  /** Writes as one step of undo. @param {Point[]} points */
  #write(points) {
    if (this.#locked()) return;
    this.host.begin();
    this.host.write({ time_curve: formatCurve(points) });
    this.host.end();
    this.refresh();
  }

  #points() {
    return parseCurve(this.host.settings().time_curve) ?? [];
  }

  #locked() {
    return this.host.settings().linked.includes("time_curve");
  }

  /** @param {Point[] | null} points */
  #complaint(points) {
    if (this.#locked()) return this.host.say("link", "time_curve");
    return points ? "" : this.host.say("notCurve");
  }

  /** @param {MouseEvent} event */
  #hit(event) {
    const box = this.view.knobs.getBoundingClientRect();
    return pointAt(this.#points(), placeIn(event, box), this.axis, box.width / box.height);
  }

  /** @param {PointerEvent} event @returns {Point} */
  #placed(event) {
    const { x, y } = placeIn(event, this.view.knobs.getBoundingClientRect());
    return { percent: Math.round(clamp(x, 0, 1) * 100) / 100, factor: valueAt(y, this.axis) };
  }

  /** @param {number} count */
  #matchKnobs(count) {
    while (this.view.knobs.children.length > count) this.view.knobs.lastElementChild?.remove();
    while (this.view.knobs.children.length < count) {
      this.view.knobs.append(make("div", { class: "cnet-knob", role: "slider", tabindex: 0 }));
    }
  }

  /**
   * @param {number} index
   * @param {Point} point
   * @param {number} count
   */
  #drawKnob(index, point, count) {
    const { say } = this.host;
    const knob = /** @type {HTMLElement} */ (this.view.knobs.children[index]);
    knob.style.left = `${100 * point.percent}%`;
    knob.style.top = `${100 - 100 * heightOf(point.factor, this.axis)}%`;
    const text = say("at", `${formatNumber(100 * point.percent)} %`, formatNumber(point.factor));
    set(knob, { "aria-label": say("point", index + 1, count), "aria-valuetext": text, title: text });
    set(knob, {
      "aria-valuenow": formatNumber(point.factor),
      "aria-valuemin": formatNumber(this.axis.low),
      "aria-valuemax": formatNumber(this.axis.top),
    });
  }
}
