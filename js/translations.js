// @ts-check
/** The nodes' texts in the user's language, for front ends that lose them: 1.32 reads them, then its own over them. */

/** How the category of our nodes ends; what stands before it is translated. */
const OURS = "/cnet";

/**
 * @typedef {{name?: string, tooltip?: string}} Text
 * @typedef {{display_name: string, description: string, inputs?: Record<string, Text>, outputs?: Record<string, Text>}} Texts
 * @typedef {Record<string, any>} Definitions node definitions by name, as ComfyUI serves them
 */

/**
 * Returns the texts, by node, of those of our nodes that are still in English.
 * @param {Definitions} definitions
 * @param {Record<string, {nodeDefs?: Record<string, Texts>}>} served the texts of all packs by language
 * @param {string} language
 * @returns {Record<string, Texts>}
 */
export function lostTexts(definitions, served, language) {
  const english = served.en?.nodeDefs ?? {};
  const wanted = served[language]?.nodeDefs ?? {};
  const isLost = (/** @type {string} */ name) =>
    definitions[name]?.category.endsWith(OURS) && definitions[name].description === english[name]?.description;
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => isLost(name)));
}

/**
 * Puts texts into node definitions: name, description, tooltips.
 * @param {Definitions} definitions
 * @param {Record<string, Texts>} texts
 */
export function translate(definitions, texts) {
  for (const [name, { display_name, description, inputs }] of Object.entries(texts)) {
    Object.assign(definitions[name], { display_name, description });
    for (const group of Object.values(definitions[name].input ?? {})) {
      for (const [input, spec] of Object.entries(group ?? {})) {
        if (spec[1] && inputs?.[input]?.tooltip) spec[1].tooltip = inputs[input].tooltip;
      }
    }
  }
}

/**
 * Names a new node's widgets, inputs and outputs.
 * @param {import("./widgets.js").GraphNode} node
 * @param {Texts | undefined} texts
 */
export function nameParts(node, texts) {
  for (const widget of node.widgets ?? []) widget.label = texts?.inputs?.[widget.name]?.name ?? widget.label;
  for (const input of node.inputs ?? []) {
    input.localized_name = texts?.inputs?.[input.name]?.name ?? input.localized_name;
  }
  (node.outputs ?? []).forEach((output, i) => {
    output.localized_name = texts?.outputs?.[i]?.name ?? output.localized_name;
  });
}
