// @ts-check
/** ComfyUI imports this file; no other file here does anything by being imported. */

import { app } from "../../scripts/app.js";
import { extensionOf } from "./extension.js";

// Adopted, since the document's elements are not ours.
const sheet = new CSSStyleSheet();
document.adoptedStyleSheets.push(sheet);
fetch(new URL("./views.css", import.meta.url))
  .then((answer) => answer.text())
  .then((css) => sheet.replaceSync(css));

app.registerExtension(extensionOf(app));
