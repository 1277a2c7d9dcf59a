// @ts-check
/** ComfyUI imports this file; no other file here does anything by being imported. */

import { app } from "../../scripts/app.js";
import { extensionOf } from "./extension.js";
import { colourRule } from "./sockets.js";

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("./views.css", import.meta.url).href;
document.head.append(sheet);

const colours = new CSSStyleSheet();
colours.replaceSync(colourRule());
document.adoptedStyleSheets.push(colours);

app.registerExtension(extensionOf(app));
