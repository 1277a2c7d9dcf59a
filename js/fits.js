// @ts-check
/** Marks the files in Load ControlNet's list: what each is for, and which do not fit the graph's model. */

import { modelFile } from "./upstream.js";
import { read, watch } from "./widgets.js";

/** @typedef {import("./widgets.js").GraphNode} GraphNode @typedef {import("./widgets.js").App} App */

/**
 * @typedef {{what: string, family: string | null, needs_base: boolean, fits: boolean | null}} Kind
 * @typedef {{model: {what: string, family: string | null} | null, files: Record<string, Kind>, complete: boolean}} Answer
 */

const NAME = "control_net_name";
const CONTROL_NET = "a ControlNet";
/** How often the graph is followed and an unfinished list is asked for, in ms. */
const LOOK = 500;

/**
 * Returns the text of a file in the list: its name and what it is for. A file that does not fit has the reason.
 * @param {string} name
 * @param {Answer | null} answer
 * @param {import("./words.js").Say} say
 */
export function labelOf(name, answer, say) {
  const kind = answer?.files[name];
  if (!kind) return name;
  const what = kind.what === CONTROL_NET ? (kind.family ?? kind.what) : kind.what;
  if (kind.fits !== false) return `${name} · ${what}`;
  const model = answer?.model?.family ?? answer?.model?.what;
  return kind.what === CONTROL_NET ? `✗ ${name} · ${say("misfit", what, model ?? "?")}` : `✗ ${name} · ${what}`;
}

/**
 * Returns the names in another order: what fits first, then what may fit, then the others. None is left out.
 * @param {string[]} names
 * @param {Answer | null} answer
 */
export function sortNames(names, answer) {
  const rank = (/** @type {string} */ name) => {
    const fits = answer?.files[name]?.fits;
    return fits === true ? 0 : fits === false ? 2 : 1;
  };
  return [...names].sort((a, b) => rank(a) - rank(b)); // stable
}

/**
 * Marks the files in a node's list, as long as the server answers.
 * @param {GraphNode} node
 * @param {App} app
 * @param {import("./words.js").Say} say
 */
export function markFiles(node, app, say) {
  const widget = node.widgets?.find((candidate) => candidate.name === NAME);
  const options = widget?.options;
  if (!widget || !options || !app.api) return;
  /** @type {Answer | null} */
  let answer = null;
  const label = (/** @type {any} */ name) => labelOf(String(name ?? ""), answer, say);
  options.getOptionLabel = label;
  options.optionLabel = label; // Vue nodes of front end 1.32
  const look = slowly(() => ({
    model: modelFile(node, /** @type {any} */ (app).graph),
    chosen: read(node, [NAME])[NAME],
    names: [...listOf(options.values)].sort(),
  }));
  let asked = 0;
  const ask = async (/** @type {any} */ state, /** @type {number} */ turn) => {
    const found = await fetchKinds(app, state);
    if (!found || turn !== asked) return;
    answer = found;
    if (Array.isArray(options.values)) options.values = sortNames(options.values, answer);
    node.setDirtyCanvas(true, true);
    if (!answer.complete && node.graph) setTimeout(() => ask(state, turn), LOOK);
  };
  watch(node, look, (state) => ask(state, ++asked));
}

/**
 * @param {App} app
 * @param {{model: string | null, chosen: any}} state
 * @returns {Promise<Answer | null>} null without our route
 */
async function fetchKinds(app, { model, chosen }) {
  const query = new URLSearchParams({ model: model ?? "", chosen: String(chosen ?? "") });
  try {
    const answer = await app.api?.fetchApi(`/cnet/control_nets?${query}`);
    return answer?.ok ? await answer.json() : null;
  } catch {
    return null; // the server is gone, or another one answers
  }
}

/**
 * Returns a function that computes at most every LOOK ms: following a large graph takes longer than reading widgets.
 * @template S
 * @param {() => S} compute
 * @returns {() => S}
 */
function slowly(compute) {
  let last = -Infinity;
  /** @type {S} */
  let value;
  return () => {
    if (performance.now() - last >= LOOK) {
      value = compute();
      last = performance.now();
    }
    return value;
  };
}

/** @param {any} values @returns {string[]} */
function listOf(values) {
  return Array.isArray(values) ? values : [];
}
