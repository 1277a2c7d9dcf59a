// @ts-check
/** Creates elements. */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "polyline", "line", "circle", "rect", "g", "text", "marker", "title"]);

/**
 * Returns a new element with these attributes and children.
 * @template {HTMLElement | SVGElement} [E=HTMLElement]
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {(Node | string)[]} [children]
 * @returns {E}
 */
export function make(tag, attributes = {}, children = []) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  set(element, attributes);
  element.append(...children);
  return /** @type {E} */ (element);
}

/**
 * Sets only the attributes that change: the browser computes styles again for each one written.
 * @param {Element} element
 * @param {Record<string, string | number>} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}

/**
 * Sets an element's text only if it changes: the browser computes the layout again for each text written.
 * @param {Element} element
 * @param {string} text
 */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Returns a drawing of 100 x 100 that fills its parent.
 * @param {SVGElement} line
 * @returns {SVGElement}
 */
export function plot(line) {
  return make("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" }, [line]);
}

/** Drawn in a box of 16 x 16, since fonts lack such symbols. */
export const ICONS = {
  reset: "M4 5.5A5 5 0 1 1 3 9M4 2v3.5h3.5",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3",
  paste: "M5 3.5H3.5v10h9v-10H11M5.5 2.5h5v2.5h-5zM6 8h4M6 10.5h4",
};

/**
 * Returns a button with an icon and a label for the pointer and for screen readers.
 * @param {string} name
 * @param {string} icon one of ICONS
 * @param {string} label
 * @returns {HTMLButtonElement}
 */
export function toolButton(name, icon, label) {
  const drawing = make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, [make("path", { d: icon })]);
  return make("button", { type: "button", class: `cnet-${name}`, title: label, "aria-label": label }, [drawing]);
}
