// @ts-check
/** What is above a node: follows the links of a graph, through subgraphs, to other nodes and to the file of the base model. */

/** @typedef {import("./widgets.js").GraphNode} GraphNode */

/**
 * @typedef {{origin_id: any, origin_slot: number, target_id: any, target_slot: number}} Link
 * @typedef {any} Graph a graph or subgraph of the front end
 * @typedef {{graph: Graph, node: any, slot: number}} Place an input or output of a node
 */

/** A subgraph's own inputs and outputs, as its links name them; newer front ends write ids as texts. */
const SUBGRAPH_INPUT = -10;
const SUBGRAPH_OUTPUT = -20;
const MODEL = "MODEL";
/** How names of model files end. */
const FILE = /\.(safetensors|sft|ckpt|pth?|bin|gguf)$/i;

/**
 * Returns the file of the model that a control net is for, as its loader's combo names it; null if no link says so. `base_model`
 * says so; else the first node downstream of the control net that has a model.
 * @param {GraphNode} node
 * @param {Graph} root
 * @returns {string | null}
 */
export function modelFile(node, root) {
  const own = /** @type {any} */ (node);
  const given = inputOf(own, (input) => input.name === "base_model" && input.link != null);
  const start = given >= 0 ? { graph: own.graph, node: own, slot: given } : findModelInput(own, root);
  return start && fileAbove(start, root);
}

/**
 * Returns the nodes above a node, nearest first, along the inputs that `follows` names; reroutes pass on what they get.
 * @param {any} node
 * @param {Graph} root
 * @param {(input: any, node: any) => boolean} follows
 * @returns {any[]}
 */
export function findNodesAbove(node, root, follows) {
  const seen = new Set([node]);
  for (const here of seen) {
    const slots = here.inputs?.length ? [...here.inputs.keys()] : [0];
    for (const slot of slots) {
      if (!passesOn(here) && !(here.inputs?.[slot] && follows(here.inputs[slot], here))) continue;
      const origin = originOf({ graph: here.graph, node: here, slot }, root);
      if (origin) seen.add(origin.node); // a Set hands out what is added while it is walked
    }
  }
  seen.delete(node);
  return [...seen];
}

/**
 * Returns the first connected MODEL input of the nodes downstream of a node.
 * @param {any} node
 * @param {Graph} root
 * @returns {Place | null}
 */
function findModelInput(node, root) {
  const seen = new Set([node]);
  for (const here of seen) {
    if (here !== node) {
      const slot = inputOf(here, isLinkedModel);
      if (slot >= 0) return { graph: here.graph, node: here, slot };
    }
    (here.outputs ?? []).forEach((/** @type {any} */ _, /** @type {number} */ slot) =>
      targets({ graph: here.graph, node: here, slot }, root).forEach((next) => seen.add(next)),
    ); // a Set hands out what is added while it is walked
  }
  return null;
}

/**
 * Returns the file that the loader above an input names.
 * @param {Place} input
 * @param {Graph} root
 * @returns {string | null}
 */
function fileAbove(input, root) {
  const seen = new Set();
  /** @type {Place | null} */
  let place = input;
  while (place) {
    /** @type {Place | null} */
    const origin = originOf(place, root);
    if (!origin || seen.has(origin.node)) return null;
    seen.add(origin.node);
    const slot = passedInput(origin.node);
    if (slot < 0) return fileIn(origin.node);
    place = { graph: origin.graph, node: origin.node, slot };
  }
  return null;
}

/**
 * Returns the input whose model a node passes on: its MODEL input, or a reroute's only one; -1 for a loader.
 * @param {any} node
 */
function passedInput(node) {
  const slot = inputOf(node, isLinkedModel);
  if (slot >= 0) return slot;
  return passesOn(node) ? 0 : -1;
}

/** Whether a node passes on the one thing that it gets: a reroute, or KJNodes' Get, which has no input. @param {any} node */
function passesOn(node) {
  if (!node.inputs?.length) return Boolean(node.isVirtualNode && node.getInputLink);
  return node.inputs.length === 1 && !node.widgets?.length;
}

/** @param {any} node @returns {string | null} */
function fileIn(node) {
  const named = (node.widgets ?? []).find(
    (/** @type {any} */ widget) => widget.type === "combo" && FILE.test(String(widget.value)),
  );
  return named ? String(named.value) : null;
}

/**
 * Returns the output that an input gets its value from: inside a subgraph where its node is one, outside where the value
 * comes in.
 * @param {Place} input
 * @param {Graph} root
 * @returns {Place | null}
 */
function originOf({ graph, node, slot }, root) {
  // nodes that stand for others, such as KJNodes' Get, answer with the link of the node that they stand for
  const link = linkOf(graph, node.inputs?.[slot]?.link) ?? (node.isVirtualNode ? node.getInputLink?.(slot) : null);
  if (!link) return null;
  if (Number(link.origin_id) === SUBGRAPH_INPUT) {
    const outer = instanceOf(graph, root);
    return outer && originOf({ graph: outer.graph, node: outer, slot: link.origin_slot }, root);
  }
  return innerOutput({ graph, node: graph.getNodeById(link.origin_id), slot: link.origin_slot });
}

/**
 * Returns an output, or the one inside a subgraph that it stands for.
 * @param {Place} output
 * @returns {Place | null}
 */
function innerOutput(output) {
  const inner = output.node?.subgraph;
  if (!inner) return output.node ? output : null;
  const link = linkOf(inner, inner.outputs?.[output.slot]?.linkIds?.[0]);
  if (!link || Number(link.origin_id) === SUBGRAPH_INPUT) return null;
  return innerOutput({ graph: inner, node: inner.getNodeById(link.origin_id), slot: link.origin_slot });
}

/**
 * Returns the nodes that an output leads to; of a subgraph those inside it, and from its own output those outside.
 * @param {Place} output
 * @param {Graph} root
 * @returns {any[]}
 */
function targets({ graph, node, slot }, root) {
  return linksOf(graph, node.outputs?.[slot]?.links).flatMap((link) => {
    if (Number(link.target_id) === SUBGRAPH_OUTPUT) {
      const outer = instanceOf(graph, root);
      return outer ? targets({ graph: outer.graph, node: outer, slot: link.target_slot }, root) : [];
    }
    return innerTargets(graph.getNodeById(link.target_id), link.target_slot);
  });
}

/** @param {any} node @param {number} slot @returns {any[]} */
function innerTargets(node, slot) {
  const inner = node?.subgraph;
  if (!inner) return node ? [node] : [];
  const links = linksOf(inner, inner.inputs?.[slot]?.linkIds);
  return links.flatMap((link) => innerTargets(inner.getNodeById(link.target_id), link.target_slot));
}

/** @param {Graph} graph @param {any} id @returns {Link | null} */
function linkOf(graph, id) {
  return id == null ? null : (graph.getLink?.(id) ?? graph.links?.[id] ?? null);
}

/** @param {Graph} graph @param {any[] | null | undefined} ids @returns {Link[]} */
function linksOf(graph, ids) {
  return (ids ?? []).flatMap((id) => linkOf(graph, id) ?? []);
}

/**
 * Returns the first node that stands for a subgraph.
 * @param {Graph} subgraph
 * @param {Graph} graph where to look, with the subgraphs in it
 * @returns {any}
 */
function instanceOf(subgraph, graph) {
  for (const node of graph?._nodes ?? graph?.nodes ?? []) {
    if (node.subgraph && isSame(node.subgraph, subgraph)) return node;
    const found = node.subgraph && instanceOf(subgraph, node.subgraph);
    if (found) return found;
  }
  return null;
}

/**
 * Whether two are one graph: newer front ends hand out proxies, which are not identical.
 * @param {Graph} one
 * @param {Graph} other
 */
function isSame(one, other) {
  return one === other || (one.id != null && one.id === other.id);
}

/** @param {any} node @param {(input: any) => boolean} wanted */
function inputOf(node, wanted) {
  return (node.inputs ?? []).findIndex(wanted);
}

/** @param {any} input */
function isLinkedModel(input) {
  return input.type === MODEL && input.link != null;
}
