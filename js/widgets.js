// @ts-check
/** A node's own widgets: the one place where settings live, so that saved graphs, prompts and subgraphs hold them. */

/** The interval at which widgets are read, in ms. */
const WATCH = 100;
/** The height of a socket, and the least height of a text field in front ends, in pixels. */
const SOCKET_ROW = 20;
const LEAST_TEXT = 50;
/** Where the name of a socket stands, from a widget's upper left, in pixels. */
const LABEL = { x: 20, y: 15 };
/** Marks the view of a removed node. */
const LEFT_OVER = "cnet-left-over";
/** Event -> the method of the graph's canvas that takes it. */
const PASSED = {
  wheel: "processMouseWheel",
  pointerdown: "processMouseDown",
  pointermove: "processMouseMove",
  pointerup: "processMouseUp",
};

/**
 * @typedef {{name: string, value: any, callback?: (...values: any[]) => void, serialize?: boolean, disabled?: boolean, label?: string, options?: Record<string, any>, y?: number, connectionSuppressed?: boolean}} Widget
 * @typedef {{name: string, widget?: {name: string}, localized_name?: string}} Input
 * @typedef {object} GraphNode
 * @property {string | number} id
 * @property {string} comfyClass
 * @property {Widget[]} [widgets]
 * @property {Input[]} [inputs]
 * @property {{localized_name?: string}[]} [outputs]
 * @property {(slot: number) => boolean} isInputConnected
 * @property {(slot: number) => GraphNode[] | null} getOutputNodes
 * @property {Record<string, any>} properties
 * @property {(name: string, type: string, element: HTMLElement, options: object) => Widget} addDOMWidget
 * @property {object | null} [graph] the graph that it is in
 * @property {(...values: any[]) => void} [onAdded]
 * @property {(...values: any[]) => void} [onRemoved]
 * @property {(...values: any[]) => void} [onExecuted]
 * @property {(pen: CanvasRenderingContext2D, ...values: any[]) => void} [onDrawForeground]
 * @property {{collapsed?: boolean}} [flags]
 * @property {() => [number, number]} computeSize
 * @property {[number, number]} size
 * @property {(size: [number, number]) => void} setSize
 * @property {(front: boolean, back: boolean) => void} setDirtyCanvas
 *
 * @typedef {object} Api
 * @property {(path: string) => Promise<Response>} fetchApi
 *
 * @typedef {object} App
 * @property {any} [canvas]
 * @property {Api} [api]
 * @property {{setting?: {get: (id: string) => any}}} [extensionManager]
 */

/**
 * Returns the values of a node's widgets by name.
 * @param {GraphNode} node
 * @param {string[]} names
 * @returns {Record<string, any>}
 */
export function read(node, names) {
  const widgets = (node.widgets ?? []).filter((widget) => names.includes(widget.name));
  return Object.fromEntries(widgets.map((widget) => [widget.name, widget.value]));
}

/**
 * Writes values into a node's widgets, as if they had been typed.
 * @param {GraphNode} node
 * @param {Record<string, any>} values
 */
export function write(node, values) {
  for (const widget of node.widgets ?? []) {
    if (widget.name in values && widget.value !== values[widget.name]) {
      widget.value = values[widget.name];
      widget.callback?.(widget.value);
    }
  }
}

/**
 * Calls `act` when a widget calls back: always when a person changes it, with text fields also when a graph is loaded.
 * @param {GraphNode} node
 * @param {string} name
 * @param {(value: any) => void} act
 */
export function onCallback(node, name, act) {
  const widget = node.widgets?.find((candidate) => candidate.name === name);
  if (!widget) return;
  const callback = widget.callback;
  widget.callback = function (...values) {
    callback?.apply(this, values);
    act(widget.value);
  };
}

/**
 * Greys a node's unused widgets, if the front end supports it, and redraws the canvas.
 * @param {GraphNode} node
 * @param {string[]} unused
 * @param {string[]} names
 */
export function grey(node, unused, names) {
  for (const widget of node.widgets ?? []) {
    if (names.includes(widget.name)) widget.disabled = unused.includes(widget.name);
  }
  node.setDirtyCanvas(true, true);
}

/**
 * Returns the names whose value comes over a link.
 * @param {GraphNode} node
 * @param {string[]} names
 */
export function linked(node, names) {
  const inputs = (node.inputs ?? []).filter((_, slot) => node.isInputConnected(slot));
  return inputs.map((input) => input.widget?.name ?? input.name).filter((name) => names.includes(name));
}

/**
 * Calls `changed` with the new and the old state soon, and whenever `state()` changes while the node is in a graph. Clones
 * made for copying never are in one, and nothing removes them. Front ends set widgets by hand, by undo, by loading, through
 * subgraphs and over links, and report only some of these changes.
 * @template S
 * @param {GraphNode} node
 * @param {() => S} state
 * @param {(state: S, before: S | null) => void} changed
 */
export function watch(node, state, changed) {
  let before = "";
  const look = () => {
    const now = JSON.stringify(state());
    if (now === before) return;
    const old = before ? JSON.parse(before) : null;
    before = now;
    changed(JSON.parse(now), old);
  };
  let timer = 0;
  const stop = () => clearInterval(timer);
  const start = () => {
    stop();
    timer = setInterval(look, WATCH);
  };
  if (node.graph) start();
  chain(node, "onAdded", start);
  chain(node, "onRemoved", stop);
}

/**
 * Calls `act` on an event of a node, before the node's existing handler.
 * @param {GraphNode} node
 * @param {"onAdded" | "onRemoved" | "onExecuted"} event
 * @param {(...values: any[]) => void} act
 */
export function chain(node, event, act) {
  const before = node[event];
  node[event] = function (...values) {
    act(...values);
    before?.apply(this, values);
  };
}

/**
 * Adds an element to a node, below its widgets; it holds no value and is not saved.
 * @param {App} app
 * @param {GraphNode} node
 * @param {string} name
 * @param {HTMLElement} element
 * @param {number} height in pixels
 */
export function addView(app, node, name, element, height) {
  const options = { serialize: false, hideOnZoom: false, hideInPanel: true, getMinHeight: () => height, margin: 4 };
  const widget = node.addDOMWidget(name, name, element, options);
  widget.serialize = false;
  followNodeWidth(widget);
  const [width, least] = node.computeSize();
  node.setSize([Math.max(node.size[0], width, 320), Math.max(node.size[1], least)]);
  passEvents(element, app);
  replaceLeftOver(node, element);
}

/**
 * Keeps a text field from growing with its node, so that the element below it gets the space. While a link brings the text,
 * the field takes no more space than its socket.
 * @param {GraphNode} node
 * @param {string} name
 * @param {number} height in pixels
 */
export function limitHeight(node, name, height) {
  const options = node.widgets?.find((widget) => widget.name === name)?.options;
  if (!options) return;
  const room = (/** @type {number} */ most) => (linked(node, [name]).length ? SOCKET_ROW : most);
  options.getMaxHeight = () => room(height);
  options.getMinHeight = () => room(Math.min(height, LEAST_TEXT));
}

/**
 * Writes a text field's name beside its socket while a link brings the text. Newer front ends hide such a field on the
 * canvas, and its socket would have no name.
 * @param {GraphNode} node
 * @param {string} name
 */
export function nameHiddenField(node, name) {
  const widget = node.widgets?.find((candidate) => candidate.name === name);
  const draw = node.onDrawForeground;
  node.onDrawForeground = function (pen, ...values) {
    draw?.call(this, pen, ...values);
    if (!widget?.connectionSuppressed || node.flags?.collapsed) return;
    const socket = node.inputs?.find((input) => input.widget?.name === name);
    const { NODE_SUBTEXT_SIZE, NODE_FONT, NODE_TEXT_COLOR } = /** @type {any} */ (globalThis).LiteGraph;
    pen.save();
    Object.assign(pen, { font: `${NODE_SUBTEXT_SIZE}px ${NODE_FONT}`, fillStyle: NODE_TEXT_COLOR, textAlign: "left" });
    pen.fillText(socket?.localized_name ?? name, LABEL.x, (widget.y ?? 0) + LABEL.y);
    pen.restore();
  };
}

/**
 * Makes a node large enough for the picture of its first run. Front ends give a picture 220 pixels, too few to read it; a
 * size that a person chooses later stays.
 * @param {GraphNode} node
 * @param {[number, number]} least
 */
export function growForPicture(node, least) {
  chain(node, "onExecuted", () => {
    if (node.properties.cnet_grown) return;
    node.properties.cnet_grown = true;
    resize(node, [Math.max(node.size[0], least[0]), Math.max(node.size[1], least[1])]);
  });
}

/**
 * Gives a node a size. The Vue nodes of front end 1.32 read it once, when they appear; later they read only their style.
 * @param {GraphNode} node
 * @param {[number, number]} size
 */
function resize(node, [width, height]) {
  node.setSize([width, height]);
  const element = /** @type {HTMLElement | null} */ (document.querySelector(`[data-node-id="${node.id}"]`));
  element?.style.setProperty("--node-width", `${width}px`);
  element?.style.setProperty("--node-height", `${height}px`);
}

/**
 * Keeps a view as wide as its node. Front ends without `hideInPanel` write the width of their properties panel into the
 * views of a selected node, and never restore it.
 * @param {Widget} widget
 */
function followNodeWidth(widget) {
  Object.defineProperty(widget, "width", { get: () => undefined, set: () => {}, configurable: true });
}

/**
 * Replaces the view of an earlier node with the same id. When undo or loading creates nodes again, the Vue nodes of front
 * end 1.32 keep showing the elements of the old ones.
 * @param {GraphNode} node
 * @param {HTMLElement} element
 */
function replaceLeftOver(node, element) {
  const leftOver = () => document.querySelector(`[data-node-id="${node.id}"] .${LEFT_OVER}`);
  const missing = () => !element.isConnected && leftOver() !== null;
  watch(node, missing, (isMissing) => isMissing && leftOver()?.replaceWith(element));
  chain(node, "onRemoved", () => element.classList.add(LEFT_OVER));
}

/**
 * Keeps the pointer and the keys that a view uses from the graph below it, which would move nodes or delete them.
 * @param {HTMLElement} element
 */
export function keepEvents(element) {
  for (const kind of ["pointerdown", "pointermove", "pointerup", "copy", "paste", "dblclick"]) {
    element.addEventListener(kind, (event) => isMiddle(event) || event.stopPropagation());
  }
}

/**
 * Lets the wheel and the middle button zoom and pan the graph over a view, too. Vue nodes already do.
 * @param {HTMLElement} element
 * @param {App} app
 */
function passEvents(element, app) {
  for (const [kind, method] of Object.entries(PASSED)) {
    element.addEventListener(kind, (event) => {
      if ((kind === "wheel" || isMiddle(event)) && !element.closest("[data-node-id]")) {
        event.preventDefault();
        app.canvas?.[method](event);
      }
    });
  }
}

/** @param {Event} event */
function isMiddle(event) {
  return event instanceof PointerEvent && (event.button === 1 || (event.buttons & 4) !== 0);
}
