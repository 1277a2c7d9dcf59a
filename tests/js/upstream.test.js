/** The base model's file is found through LoRAs, reroutes, subgraphs and virtual nodes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { modelFile } from "../../js/upstream.js";

const [IN, OUT] = ["-10", -20]; // newer front ends write ids as texts
const FILE = "sd15.safetensors";

/** A graph of nodes by id: {inputs: [[name, type, link]], outputs: [[links]], widgets, …}, and links by id. */
function graphOf(nodes, links, more = {}) {
  const graph = {
    links,
    getLink: (id) => links[id],
    getNodeById: (id) => graph._nodes.find((n) => n.id === id),
    ...more,
  };
  graph._nodes = Object.entries(nodes).map(([id, { inputs = [], outputs = [], ...rest }]) => ({
    id: Number(id),
    graph,
    inputs: inputs.map(([name, type, link = null]) => ({ name, type, link })),
    outputs: outputs.map((linked) => ({ links: linked })),
    ...rest,
  }));
  return graph;
}

const link = (origin_id, origin_slot, target_id, target_slot) => ({ origin_id, origin_slot, target_id, target_slot });
const combo = (value) => [{ name: "ckpt_name", type: "combo", value }];
const CHECKPOINT = { outputs: [[1]], widgets: combo(FILE) };
const NET = { outputs: [[9]], widgets: combo("net.safetensors") };
const find = (graph, id, root = graph) => modelFile(graph.getNodeById(id), root);

test("through a LoRA and a reroute to the checkpoint of the model that control is applied to", () => {
  const graph = graphOf(
    {
      1: CHECKPOINT,
      2: { inputs: [["model", "MODEL", 1]], outputs: [[2]], widgets: combo("lora.safetensors") },
      3: { inputs: [["", "*", 2]], outputs: [[3]] },
      4: {
        inputs: [
          ["model", "MODEL", 3],
          ["control_net", "CONTROL_NET", 8],
        ],
      },
      5: { inputs: [["control_net", "CONTROL_NET", 9]], outputs: [[8]] },
      6: NET,
    },
    { 1: link(1, 0, 2, 0), 2: link(2, 0, 3, 0), 3: link(3, 0, 4, 0), 8: link(5, 0, 4, 1), 9: link(6, 0, 5, 0) },
  );
  assert.equal(find(graph, 6), FILE);
});

test("`base_model` comes before the model behind", () => {
  const graph = graphOf(
    {
      1: CHECKPOINT,
      4: { inputs: [["model", "MODEL", 3]] },
      6: { ...NET, inputs: [["base_model", "MODEL", 1]] },
      7: { outputs: [[3]], widgets: combo("other.safetensors") },
    },
    { 1: link(1, 0, 6, 0), 3: link(7, 0, 4, 0), 9: link(6, 0, 4, 1) },
  );
  assert.equal(find(graph, 6), FILE);
});

test("up into a subgraph, and out of one on either side", () => {
  const inner = graphOf({ 1: CHECKPOINT }, { 1: link(1, 0, OUT, 0) }, { outputs: [{ linkIds: [1] }], inputs: [] });
  const apply = graphOf(
    {
      4: {
        inputs: [
          ["model", "MODEL", 1],
          ["control_net", "CONTROL_NET", 2],
        ],
      },
    },
    { 1: link(IN, 0, 4, 0), 2: link(IN, 1, 4, 1) },
    { inputs: [{ linkIds: [1] }, { linkIds: [2] }], outputs: [] },
  );
  const net = graphOf({ 6: { ...NET, outputs: [[1]] } }, { 1: link(6, 0, OUT, 0) }, { outputs: [{ linkIds: [1] }] });
  const root = graphOf(
    {
      1: { subgraph: inner, outputs: [[1]] },
      2: {
        subgraph: apply,
        inputs: [
          ["a", "MODEL", 1],
          ["b", "CONTROL_NET", 2],
        ],
      },
      3: { subgraph: net, outputs: [[2]] },
    },
    { 1: link(1, 0, 2, 0), 2: link(3, 0, 2, 1) },
  );
  assert.equal(find(net, 6, root), FILE);
});

test("a node that stands for another answers with its link", () => {
  const graph = graphOf(
    {
      1: CHECKPOINT,
      3: {
        isVirtualNode: true,
        getInputLink: () => link(1, 0, 2, 0),
        widgets: [{ name: "Constant", type: "combo", value: "model" }],
        outputs: [[3]],
      },
      4: {
        inputs: [
          ["model", "MODEL", 3],
          ["control_net", "CONTROL_NET", 9],
        ],
      },
      6: NET,
    },
    { 1: link(1, 0, 2, 0), 3: link(3, 0, 4, 0), 9: link(6, 0, 4, 1) },
  );
  assert.equal(find(graph, 6), FILE);
});

test("no link, a loader without a file, and a ring have none", () => {
  assert.equal(find(graphOf({ 6: { ...NET, outputs: [null] } }, {}), 6), null);
  const tiny = graphOf(
    { 1: { outputs: [[1]] }, 4: { inputs: [["model", "MODEL", 1]] }, 6: NET },
    { 1: link(1, 0, 4, 0), 9: link(6, 0, 4, 1) },
  );
  assert.equal(find(tiny, 6), null);
  const ring = graphOf(
    { 2: { inputs: [["model", "MODEL", 2]], outputs: [[1, 2]] }, 4: { inputs: [["model", "MODEL", 1]] }, 6: NET },
    { 1: link(2, 0, 4, 0), 2: link(2, 0, 2, 0), 9: link(6, 0, 4, 1) },
  );
  assert.equal(find(ring, 6), null);
});
