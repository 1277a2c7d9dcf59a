// @ts-check
/** Puts the views on our nodes. Takes `app` as an argument, so that tests can pass a small fake. */

import { Curve } from "./curve.js";
import { Bars } from "./editor.js";
import { markFiles } from "./fits.js";
import { DEFAULT_PROFILE, SCHEDULE, hostOf, settingsOf } from "./host.js";
import { make } from "./make.js";
import { commandsOf, menuOf } from "./presets.js";
import { Diagram, samplerCfg, unusedInputs } from "./routing.js";
import { CUSTOM, formatScales, parseCustom } from "./scales.js";
import { shownScales } from "./schedule.js";
import { colourSockets } from "./sockets.js";
import { offerScales } from "./suggested.js";
import { addAliases, lostTexts, nameParts, translate } from "./translations.js";
import {
  addView,
  grey,
  growForPicture,
  keepEvents,
  limitHeight,
  nameHiddenField,
  onCallback,
  read,
  watch,
  write,
} from "./widgets.js";
import { wordsOf } from "./words.js";

/** @typedef {import("./widgets.js").GraphNode} GraphNode @typedef {import("./widgets.js").App} App */

const ROUTING = ["mode", "cond_weight", "uncond_weight", "target_gain", "time_curve"];
const DEFAULT_CFG = 7.5;

/** @type {Record<string, (node: GraphNode, app: App, say: import("./words.js").Say) => void>} */
const VIEWS = {
  BlockScaleSchedule: addEditor,
  CFGHintRouting: addDiagram,
  LoadControlNet: markFiles,
  ControlXRay(node, app, say) {
    growForPicture(node, [420, 560]);
    offerScales(node, app, say);
  },
  TrainControlNet(node) {
    limitHeight(node, "captions", 100); // the room below is for the plots
    nameHiddenField(node, "captions");
    growForPicture(node, [420, 860]);
  },
};

/**
 * Returns the extension for ComfyUI.
 * @param {App} app
 * @param {import("./presets.js").Preset[]} [presets]
 */
export function extensionOf(app, presets = []) {
  /** @type {Record<string, import("./translations.js").Texts>} */
  let texts = {};
  return {
    name: "cnet.views",
    commands: commandsOf(app, presets, wordsOf(localeOf(app))),
    /** @param {GraphNode} node */
    getNodeMenuItems: (node) => menuOf(app, node, presets, wordsOf(localeOf(app))),
    /** @param {Record<string, any>} definitions of all nodes, about to be registered */
    async addCustomNodeDefs(definitions) {
      const language = localeOf(app).split("-")[0];
      const served = (await app.api?.fetchApi("/i18n").then((answer) => answer.json())) ?? {};
      addAliases(definitions, served, language);
      if (language === "en") return;
      texts = lostTexts(definitions, served, language);
      translate(definitions, texts);
    },
    setup() {
      colourSockets(app);
    },
    /** @param {GraphNode} node */
    nodeCreated(node) {
      nameParts(node, texts[node.comfyClass]);
      VIEWS[node.comfyClass]?.(node, app, wordsOf(localeOf(app)));
    },
  };
}

/** @param {App} app @returns {string} */
function localeOf(app) {
  return app.extensionManager?.setting?.get("Comfy.Locale") ?? "en";
}

/** @type {typeof VIEWS[string]} */
function addEditor(node, app, say) {
  const host = hostOf(node, app, say);
  const views = [new Bars(host), new Curve(host)];
  const element = make(
    "div",
    { class: "cnet-view" },
    views.flatMap((view) => view.view.elements),
  );
  keepEvents(element);
  addView(app, node, "cnet_editor", element, 312);
  limitHeight(node, "custom_scales", 60);
  nameHiddenField(node, "custom_scales");
  keepProfile(node);
  watch(node, host.settings, () => {
    views.forEach((view) => view.refresh());
    grey(node, host.settings().profile === "soft" ? [] : ["base"], SCHEDULE);
  });
}

/** @type {typeof VIEWS[string]} */
function addDiagram(node, app, say) {
  const diagram = new Diagram(say);
  keepEvents(diagram.strip.element);
  addView(app, node, "cnet_diagram", make("div", { class: "cnet-view" }, diagram.elements), 150);
  const state = () => ({ routing: /** @type {any} */ (read(node, ROUTING)), cfg: samplerCfg(node) });
  watch(node, state, ({ routing, cfg }) => {
    diagram.refresh({ ...routing, cfg: cfg ?? DEFAULT_CFG }, cfg != null);
    grey(node, unusedInputs(routing, ROUTING), ROUTING);
  });
}

/**
 * Keeps the profile and the numbers in step when a person changes one: `custom` starts with the current bars, and typed
 * numbers switch to `custom`. Loading a graph never changes what it holds.
 * @param {GraphNode} node
 */
function keepProfile(node) {
  let last = DEFAULT_PROFILE;
  watch(
    node,
    () => settingsOf(node).reference,
    (reference) => (last = reference),
  );
  onCallback(node, "profile", (profile) => {
    if (profile !== CUSTOM) return;
    node.properties.cnet_reference = last;
    const scales = shownScales({ ...settingsOf(node), profile: last });
    if (!settingsOf(node).custom_scales.trim()) write(node, { custom_scales: formatScales(scales) });
  });
  onCallback(node, "custom_scales", (text) => {
    if (isTyped(text) && parseCustom(text, settingsOf(node).blocks)?.length) write(node, { profile: CUSTOM });
  });
}

/**
 * Whether a person just typed a text: text fields call back when a graph is loaded, too.
 * @param {string} text
 */
function isTyped(text) {
  const focused = document.activeElement;
  return focused instanceof HTMLTextAreaElement && focused.value === text;
}
