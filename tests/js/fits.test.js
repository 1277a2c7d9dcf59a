/** What the list of files shows, and in which order. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { labelOf, sortNames } from "../../js/fits.js";
import { wordsOf } from "../../js/words.js";

const say = wordsOf("en");
const file = (family, fits, what = "a ControlNet") => ({ what, family, needs_base: false, fits });
const ANSWER = {
  model: { what: "a Stable Diffusion model", family: "SD1.x" },
  files: {
    "xl.safetensors": file("SDXL", false),
    "broken.safetensors": file(null, null),
    "lora.safetensors": file(null, false, "a LoRA"),
    "sd.safetensors": file("SD1.x", true),
  },
  complete: false,
};

test("a file has its family, and one that does not fit the reason", () => {
  assert.equal(labelOf("sd.safetensors", ANSWER, say), "sd.safetensors · SD1.x");
  assert.equal(labelOf("broken.safetensors", ANSWER, say), "broken.safetensors · a ControlNet");
  assert.equal(labelOf("xl.safetensors", ANSWER, say), "✗ xl.safetensors · for SDXL, but the model is SD1.x");
  assert.equal(labelOf("lora.safetensors", ANSWER, say), "✗ lora.safetensors · a LoRA");
});

test("a file that is not known yet, and every file without an answer, is its name", () => {
  assert.equal(labelOf("new.pth", ANSWER, say), "new.pth");
  assert.equal(labelOf("sd.safetensors", null, say), "sd.safetensors");
});

test("files that fit come first, and none is left out", () => {
  const names = ["xl.safetensors", "new.pth", "sd.safetensors", "lora.safetensors"];
  const sorted = ["sd.safetensors", "new.pth", "xl.safetensors", "lora.safetensors"];
  assert.deepEqual(sortNames(names, ANSWER), sorted);
  assert.deepEqual(sortNames(names, null), names);
});
