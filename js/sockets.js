// @ts-check
/** The colours of our nodes' sockets and links, which palettes would draw in grey. */

/** @typedef {import("./widgets.js").App} App */

/** Apart from ComfyUI's own colours, and from each other. @type {Record<string, string>} */
export const COLOURS = {
  CNET_CONTROL_NET: "#1fb8a6",
  "CNET_CONTROL_NET,CONTROL_NET": "#1fb8a6",
  CNET_ROUTING: "#b5cc36",
  CNET_SCALES: "#d08a4e",
};

/**
 * Gives our types their colours, in links and sockets of the canvas and of Vue nodes. A palette that names them takes precedence.
 * @param {App} app
 */
export function colourSockets(app) {
  for (const colours of [app.canvas.default_connection_color_byType, app.canvas.constructor.link_type_colors]) {
    for (const [type, colour] of Object.entries(COLOURS)) keepColour(colours, type, colour);
  }
}

/** Returns the style rule for Vue nodes. */
export function colourRule() {
  const simple = Object.entries(COLOURS).filter(([type]) => !type.includes(","));
  return `:root { ${simple.map(([type, colour]) => `--color-datatype-${type}: ${colour};`).join(" ")} }`;
}

/**
 * Keeps a type's colour when the palette changes, which clears the colours of all types that it does not name.
 * @param {Record<string, string>} colours by type
 * @param {string} type
 * @param {string} colour
 */
function keepColour(colours, type, colour) {
  let chosen = colours[type];
  Object.defineProperty(colours, type, {
    get: () => chosen || colour,
    set: (value) => (chosen = value),
    enumerable: true,
    configurable: true,
  });
}
