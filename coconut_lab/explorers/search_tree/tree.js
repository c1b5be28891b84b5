import { count, curve, digits, dropDown, follow, frame, isolated, make, names, numberField, roving, say,
  set, setting, shortened } from "../browser/shared.js";
import { fillNode, graphOf, placeOf, questionOf, roleOf } from "../browser/graph.js";

// The search tree. Its traits and its data: widget.py and data.py. All but another problem or model
// is drawn here, without the kernel.

const COLUMN = 128, ROW = 34, PILL = { width: 96, height: 26 };
const TRAITS = ["data", "index", "model_name", "models", "thoughts", "depth", "threshold", "kind"];
const KINDS = { language: "what it says after <eot>", bare: "the bare thoughts" };
const RANGES = { thoughts: [0, 3, 1], depth: [1, 4, 1], threshold: [0.005, 0.5, 0.005] };

function render({ model, el }) {
  const root = frame(el, "tree", "Latent search tree"), change = setting(model);
  let data = model.get("data"), shown = null, built = "";
  const name = (node) => isolated(data.names[node]), bare = () => model.get("kind") === "bare";

  const title = make("h3"), meta = make("p", { class: "meta" });
  const [indexField, index] = numberField(model, "Problem", "index", change);
  const modelList = dropDown("Model", (value) => change({ model_name: value }));
  const kindList = dropDown("Tree of", (value) => change({ kind: value }));
  const sliders = Object.entries(RANGES).map(([trait, [min, max, step]]) => {
    const slide = () => change({ [trait]: Number(input.value) });
    const input = make("input", { type: "range", min, max, step, "aria-label": trait, input: slide });
    const value = make("output");
    const element = make("label", { class: "field" }, make("span", {}, trait), input, value);
    return { trait, input, value, element };
  });
  const tree = make("div", { class: "picture" }), graph = make("div", { class: "picture" });
  const said = make("p", { class: "said", role: "status" }), detail = make("p", { class: "detail meta" });
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow" }, indexField, modelList.element, kindList.element),
    make("div", { class: "flow stepping" }, ...sliders.map((one) => one.element)),
    make("div", { class: "views" },
      make("div", {}, make("h4", {}, "The tree: each branch with its value"), tree),
      make("div", {}, make("h4", {}, "What is true: the graph of the facts"), graph)),
    said, detail,
  );
  const stops = roving(tree, () => [...tree.querySelectorAll("g.branch")]);

  /** The branches to draw now: id, node, value, the ids that each grows from, level. */
  function branches() {
    const threshold = model.get("threshold"), depth = model.get("depth");
    if (!bare()) {
      const found = data.trees[model.get("thoughts")];
      return found.filter((one) => one.path.length <= depth && one.value >= threshold).map((one) => ({
        ...one, id: one.path.join("-"), node: one.path.at(-1), level: one.path.length,
        from: [one.path.slice(0, -1).join("-") || "root"],
      }));
    }
    let before = [{ id: "root", node: data.asked }];
    return data.thoughts.slice(0, depth).flatMap((row, level) => {
      const fact = (from, to) => data.facts.some(([parent, child]) => parent === from && child === to);
      const leads = (node) => before.filter((one) => fact(one.node, node));
      before = row.flatMap((value, node) => (value < threshold ? [] : [{ id: `${level}-${node}`, node, value,
        path: [node], level: level + 1, from: leads(node).map((one) => one.id) }]));
      return before;
    });
  }

  /** Where each branch is: thoughts in columns, the most probable on top; a tree by its leaves. */
  function arrange(all) {
    const places = new Map(), byValue = (a, b) => b.value - a.value;
    let bottom = 0;
    if (bare()) {
      for (const level of new Set(all.map((one) => one.level))) {
        const row = all.filter((one) => one.level === level).sort(byValue);
        row.forEach((one, at) => places.set(one.id, [60 + level * COLUMN, at * ROW]));
        bottom = Math.max(bottom, (row.length - 1) * ROW);
      }
      places.set("root", [60, bottom / 2]);
      return { places, bottom };
    }
    const grow = (id, level) => { // leaves one below the other; a parent beside the middle of its children
      const ys = all.filter((one) => one.from[0] === id).sort(byValue).map((one) => grow(one.id, level + 1));
      const y = ys.length ? (ys[0] + ys.at(-1)) / 2 : (bottom += ROW) - ROW;
      places.set(id, [60 + level * COLUMN, y]);
      return y;
    };
    grow("root", 0);
    return { places, bottom: bottom - ROW };
  }

  function drawTree() {
    const all = branches(), { places, bottom } = arrange(all), half = PILL.width / 2;
    const width = 120 + Math.max(1, ...all.map((one) => one.level)) * COLUMN, height = bottom + 2 * ROW;
    const link = (id, { node, value, id: to }) => {
      const [[x, y], [toX, toY]] = [places.get(id), places.get(to)];
      const d = curve([[x + half, y + ROW], [toX - half + 6, toY + ROW]]);
      return make("path", { class: "link", "data-node": node, d, "--w": value });
    };
    const pill = (id, text, share, attributes) => {
      const [x, y] = places.get(id), box = { x: x - half, y: y + ROW - PILL.height / 2, rx: 13, ...PILL };
      const label = make("text", { x, y: y + ROW + 4.5 }, text);
      return make("g", { ...attributes, "--p": share }, make("rect", box), label);
    };
    const branch = ({ id, node, value, path, answers }) => {
      const role = roleOf(data, node).slice(2), words = [name(node), `value ${digits(value)}`, role];
      return pill(id, `${shortened(data.names[node], 9)} ${digits(value)}`, value, {
        class: names("branch shaded", node === data.target && "target"), tabindex: -1, role: "img",
        "data-node": node, "data-path": path.join("-"),
        "aria-label": [...words, answers > 0.5 && "then it answers"].filter(Boolean).join(", "),
      });
    };
    const look = { viewBox: `0 0 ${width} ${height}`, style: `max-width: ${width * 1.15}px; width: 100%` };
    tree.replaceChildren(make("svg", { ...look, role: "group", "aria-label": "Search tree" },
      ...all.flatMap((one) => one.from.map((id) => link(id, one))),
      pill("root", bare() ? name(data.asked) : `${model.get("thoughts")} · <eot>`, 0, { class: "start" }),
      ...all.map(branch)));
    stops.refresh();
    return all;
  }

  function drawGraph(all) {
    const wanted = JSON.stringify([data.names, data.facts, data.asked]);
    if (wanted !== built) graph.replaceChildren((shown = graphOf(data, "Graph of the facts")).picture);
    built = wanted;
    const first = all.filter((one) => one.level === 1);
    const hop = bare() ? 1 : model.get("thoughts") + data.offset;
    for (const [node, group] of shown.nodes.entries()) {
      const share = first.filter((one) => one.node === node).reduce((sum, one) => sum + one.value, 0);
      const classes = [data.distances[node] === hop && "frontier"], said = share ? digits(share) : "";
      fillNode(data, group, { share: Math.min(1, share), said, role: roleOf(data, node), classes });
    }
  }

  /** Light a node, or the nodes of a path, in both views. */
  function point(nodes = []) {
    const follows = ([parent, child]) => nodes.some((node, at) => node === parent && nodes[at + 1] === child);
    const light = (one, lit) => one.classList.toggle("lit", lit);
    root.classList.toggle("pointing", nodes.length > 0);
    for (const one of tree.querySelectorAll("[data-node]")) light(one, +one.dataset.node === nodes.at(-1));
    for (const [node, group] of shown.nodes.entries()) light(group, nodes.includes(node));
    for (const [n, edge] of shown.edges.entries()) light(edge, follows(data.facts[n]));
    say(detail, nodes.length ? describe(nodes) : "Point at a branch or a node to see it in both.");
  }

  function describe(nodes) {
    const last = nodes.at(-1), role = roleOf(data, last).slice(2);
    return `${nodes.map(name).join(" → ")}: ${[placeOf(data, last), role].filter(Boolean).join(", ")}.`;
  }

  for (const event of ["pointerover", "focusin"]) root.addEventListener(event, (one) => {
    const found = one.target.closest?.("[data-node]")?.dataset;
    point((found?.path ?? found?.node)?.split("-").map(Number));
  });
  root.addEventListener("pointerleave", () => point());

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    say(title, questionOf(data));
    say(meta, `${data.source} · ${data.model}`);
    index.value = model.get("index");
    set(index, { max: model.get("count") - 1 });
    modelList.update(model.get("models"), model.get("model_name"));
    kindList.update(Object.entries(KINDS), model.get("kind"));
    for (const { trait, input, value, element } of sliders) {
      if (trait === "thoughts") set(input, { max: data.trained });
      element.hidden = trait === "thoughts" && bare();
      input.value = model.get(trait);
      say(value, trait === "threshold" ? model.get(trait).toFixed(3) : String(model.get(trait)));
    }
    const all = drawTree();
    drawGraph(all);
    say(said, caption(all));
    point();
  }

  function caption(all) {
    if (all.length === 0) return "No branch is worth that much: lower the threshold.";
    const deepest = Math.max(...all.map((one) => one.level)), k = model.get("thoughts");
    if (bare()) return `Thoughts 1 to ${deepest}, one level each. ` +
      "The bare thoughts hold a frontier; they do not choose in it.";
    const first = count(all.filter((one) => one.level === 1).length, "branch");
    const best = all.filter((one) => one.level === deepest).sort((a, b) => b.value - a.value)[0];
    const where = `${count(k + data.offset, "hop")} from ${name(data.asked)}`;
    return `After ${count(k, "thought")} the next concept lies ${where}: ${first}. ` +
      `The deepest and most valuable ends at ${name(best.node)}, ${digits(best.value)}.`;
  }

  const end = follow(model, TRAITS, draw);
  draw();
  return end;
}

export default { render };
