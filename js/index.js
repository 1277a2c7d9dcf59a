// @ts-check
/** ComfyUI imports this file; no other file here does anything by being imported. */

import { app } from "../../scripts/app.js";
import { extensionOf } from "./extension.js";

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("./views.css", import.meta.url).href;
document.head.append(sheet);

app.registerExtension(extensionOf(app));
