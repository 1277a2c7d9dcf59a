// @ts-check
/** The order of our templates in ComfyUI's dialog. */

/** @typedef {import("./widgets.js").App} App */

/**
 * Sorts our templates by their numbers. ComfyUI lists a pack's templates in the order of the file system, and its dialog
 * keeps that order.
 * @param {App} app
 * @param {string} address of a file of this pack: .../extensions/<folder>/<file>
 */
export function sortTemplates(app, address) {
  const { api } = app;
  const list = api?.getWorkflowTemplates;
  const folder = decodeURIComponent(address.split("/").at(-2) ?? "");
  if (!api || !list) return;
  api.getWorkflowTemplates = async () => {
    const found = await list.call(api);
    found[folder]?.sort();
    return found;
  };
}
