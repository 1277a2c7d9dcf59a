// @ts-check
/** ComfyUI imports this file; importing any other file here has no effect. */

import { app } from "../../scripts/app.js";
import { extensionOf } from "./extension.js";
import { colourRule } from "./sockets.js";

// Adopted, since the document's elements are not ours.
const sheet = new CSSStyleSheet();
document.adoptedStyleSheets.push(sheet);
fetch(new URL("./views.css", import.meta.url))
  .then((answer) => answer.text())
  .then((css) => sheet.replaceSync(css));

const colours = new CSSStyleSheet();
colours.replaceSync(colourRule());
document.adoptedStyleSheets.push(colours);

const presets = await fetch(new URL("./presets.json", import.meta.url))
  .then((answer) => answer.json())
  .then(({ presets }) => presets)
  .catch(() => []); // the views work without presets
app.registerExtension(extensionOf(app, presets));
