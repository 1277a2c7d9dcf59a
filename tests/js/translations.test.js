import assert from "node:assert/strict";
import { test } from "node:test";
import { addAliases, lostTexts, nameParts, translate } from "../../js/translations.js";

const english = { display_name: "Bars", description: "Shows bars." };
const korean = {
  display_name: "막대",
  description: "막대를 보여 줍니다.",
  inputs: { profile: { name: "프로필", tooltip: "모양" } },
  outputs: { 0: { name: "비율" } },
};
const served = { en: { nodeDefs: { Bars: english } }, ko: { nodeDefs: { Bars: korean } } };

/** @param {object} changes */
function definitions(changes = {}) {
  const input = { required: { profile: ["COMBO", { tooltip: "shape" }], image: ["IMAGE"] } };
  return { Bars: { category: "조건/cnet", ...english, input, ...changes } };
}

test("texts that are still English are lost", () => {
  assert.deepEqual(lostTexts(definitions(), served, "ko"), { Bars: korean });
});

test("nothing is lost where the front end translated, in other packs, in languages that there are not", () => {
  assert.deepEqual(lostTexts(definitions({ description: korean.description }), served, "ko"), {});
  assert.deepEqual(lostTexts(definitions({ category: "조건/other" }), served, "ko"), {});
  assert.deepEqual(lostTexts(definitions(), served, "fr"), {});
  assert.deepEqual(lostTexts({}, served, "ko"), {});
});

test("definitions get name, description and tooltips", () => {
  const all = definitions();
  translate(all, { Bars: korean });
  assert.equal(all.Bars.display_name, "막대");
  assert.equal(all.Bars.description, korean.description);
  assert.deepEqual(all.Bars.input.required.profile[1], { tooltip: "모양" });
});

test("a node's parts get their names, and keep those that there are without texts", () => {
  const node = /** @type {any} */ ({
    widgets: [{ name: "profile" }, { name: "view", label: "view" }],
    inputs: [{ name: "profile" }],
    outputs: [{ name: "scales" }],
  });
  nameParts(node, korean);
  nameParts(node, undefined);
  assert.deepEqual(
    node.widgets.map((/** @type {any} */ w) => w.label),
    ["프로필", "view"],
  );
  assert.equal(node.inputs[0].localized_name, "프로필");
  assert.equal(node.outputs[0].localized_name, "비율");
});

test("words to find a node by are the server's, English and the user's, each once, and only for our nodes", () => {
  const texts = (/** @type {string[]} */ ...words) => ({ nodeDefs: { Bars: { ...english, search_aliases: words } } });
  const served = { en: texts("weights", "curve"), ko: texts("가중치", "curve") };
  const all = { ...definitions({ search_aliases: ["weights"] }), Other: { category: "other" } };
  addAliases(all, served, "ko");
  assert.deepEqual(all.Bars.search_aliases, ["weights", "curve", "가중치"]);
  assert.deepEqual(all.Other, { category: "other" });
});
