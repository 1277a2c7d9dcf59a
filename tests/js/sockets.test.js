import assert from "node:assert/strict";
import { test } from "node:test";
import { COLOURS, colourRule, colourSockets } from "../../js/sockets.js";

/** Returns an app with the canvas's two maps of colours. */
function fakeApp() {
  class Canvas {
    static link_type_colors = {};
    default_connection_color_byType = {};
  }
  return { canvas: new Canvas() };
}

test("each of our types has a colour of its own in sockets and links, and keeps it when a palette empties it", () => {
  const app = fakeApp();
  colourSockets(app);
  for (const colours of [app.canvas.default_connection_color_byType, app.canvas.constructor.link_type_colors]) {
    Object.assign(colours, { CNET_ROUTING: "", CNET_SCALES: "" });
    assert.deepEqual({ ...colours }, COLOURS);
  }
  assert.equal(new Set(["CNET_ROUTING", "CNET_SCALES"].map((type) => COLOURS[type])).size, 2);
});

test("a palette that names a type of ours goes before", () => {
  const app = fakeApp();
  colourSockets(app);
  app.canvas.default_connection_color_byType.CNET_SCALES = "#123456";
  assert.equal(app.canvas.default_connection_color_byType.CNET_SCALES, "#123456");
});

test("Vue nodes find the colours by type", () => {
  assert.match(colourRule(), /--color-datatype-CNET_SCALES: #d08a4e;/);
});
