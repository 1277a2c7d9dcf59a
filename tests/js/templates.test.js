import assert from "node:assert/strict";
import { test } from "node:test";
import { sortTemplates } from "../../js/templates.js";

const ADDRESS = "http://127.0.0.1:8188/extensions/my%20pack/index.js";

/** Returns an app that serves these templates. @param {Record<string, string[]>} served */
function fakeApp(served) {
  const api = {
    served,
    fetchApi: fetch,
    async getWorkflowTemplates() {
      return this.served;
    },
  };
  return { api };
}

test("our templates come in order, those of others stay as they are", async () => {
  const app = fakeApp({ "my pack": ["2 Next", "1 First"], other: ["b", "a"] });
  sortTemplates(app, ADDRESS);
  assert.deepEqual(await app.api.getWorkflowTemplates(), { "my pack": ["1 First", "2 Next"], other: ["b", "a"] });
});

test("a server without our templates, and a front end without the list, change nothing", async () => {
  const app = fakeApp({ other: ["b", "a"] });
  sortTemplates(app, ADDRESS);
  assert.deepEqual(await app.api.getWorkflowTemplates(), { other: ["b", "a"] });
  const old = { api: { fetchApi: fetch } };
  sortTemplates(old, ADDRESS);
  assert.deepEqual(Object.keys(old.api), ["fetchApi"]);
});
