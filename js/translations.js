// @ts-check
/**
 * The nodes' texts in the user's language, for front ends that lose them: 1.32 reads them and then overwrites them with
 * its own. Also the search words of nodes, for servers that do not serve them.
 */

/** The end of our nodes' category; the part in front of it is translated. */
const OURS = "/cnet";

/**
 * @typedef {{name?: string, tooltip?: string}} Text
 * @typedef {{display_name: string, description: string, search_aliases?: string[], inputs?: Record<string, Text>, outputs?: Record<string, Text>}} Texts
 * @typedef {Record<string, any>} Definitions node definitions by name, as ComfyUI serves them
 */

/**
 * Returns the texts of our nodes that are still in English, by node.
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
 * Adds our nodes' search words, in English and in the user's language.
 * @param {Definitions} definitions
 * @param {Record<string, {nodeDefs?: Record<string, Texts>}>} served the texts of all packs by language
 * @param {string} language
 */
export function addAliases(definitions, served, language) {
  const wordsOf = (/** @type {string} */ tongue, /** @type {string} */ name) =>
    served[tongue]?.nodeDefs?.[name]?.search_aliases ?? [];
  for (const [name, definition] of Object.entries(definitions)) {
    if (!definition.category?.endsWith(OURS)) continue;
    const words = [definition.search_aliases ?? [], wordsOf("en", name), wordsOf(language, name)];
    definition.search_aliases = [...new Set(words.flat())];
  }
}

/**
 * Puts texts into node definitions: name, description, tooltips.
 * @param {Definitions} definitions
 * @param {Record<string, Texts>} texts
 */
export function translate(definitions, texts) {
  for (const [name, { display_name, description, inputs, outputs }] of Object.entries(texts)) {
    const output_tooltips = Object.values(outputs ?? {}).map((output) => output.tooltip ?? "");
    Object.assign(definitions[name], { display_name, description, output_tooltips });
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
