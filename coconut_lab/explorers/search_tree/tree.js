import { count, curve, digits, dropDown, follow, frame, isolated, make, roving, say, set, shortened, tip } from "../browser/shared.js";
import { graphOf, roleOf } from "../browser/graph.js";

// The search tree. Its traits and its data: widget.py and data.py. All but another problem or model
// is drawn here, without the kernel.

const COLUMN = 128, ROW = 34, PILL = { width: 96, height: 26 };
const TRAITS = ["data", "index", "model_name", "models", "thoughts", "depth", "threshold", "kind"];
const KINDS = { language: "what it says after <eot>", bare: "the bare thoughts" };

function render({ model, el }) {
  const root = frame(el, "tree", "Latent search tree");
  let data = model.get("data"), shown = null, built = "";
  const name = (node) => isolated(data.names[node]);
  const change = (values) => {
    for (const [trait, value] of Object.entries(values)) model.set(trait, value);
    model.save_changes();
  };

  const title = make("h3"), meta = make("p", { class: "meta" });
  const index = make("input", { type: "number", min: 0, "aria-label": "problem of the list", change: () => {
    const value = Math.round(Number(index.value));
    if (index.value !== "" && value >= 0 && value < model.get("count")) change({ index: value });
    else index.value = model.get("index");
  } });
  const modelList = dropDown("Model", (value) => change({ model_name: value }));
  const kindList = dropDown("Tree of", (value) => change({ kind: value }));
  const sliders = Object.fromEntries([["thoughts", 0, 1], ["depth", 1, 1], ["threshold", 0.005, 0.005]].map(([trait, min, by]) => {
    const input = make("input", { type: "range", min, step: by, "aria-label": trait, input: () => change({ [trait]: Number(input.value) }) });
    const value = make("output");
    return [trait, { input, value, element: make("label", { class: "field" }, make("span", {}, trait), input, value) }];
  }));
  set(sliders.depth.input, { max: 4 });
  set(sliders.threshold.input, { max: 0.5 });
  const tree = make("div", { class: "picture" }), graph = make("div", { class: "picture" });
  const said = make("p", { class: "said", role: "status" }), detail = make("p", { class: "detail meta" });
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow" }, make("label", { class: "field" }, make("span", {}, "Problem"), index), modelList.element, kindList.element),
    make("div", { class: "flow sliders" }, ...Object.values(sliders).map((one) => one.element)),
    make("div", { class: "views" },
      make("div", {}, make("h4", {}, "The tree: each branch with its value"), tree),
      make("div", {}, make("h4", {}, "What is true: the graph of the facts"), graph)),
    said, detail,
  );
  const stops = roving(tree, () => [...tree.querySelectorAll("g.branch")]);

  /** The branches to draw now: id, node, value, the id that each grows from, level. */
  function branches() {
    const threshold = model.get("threshold"), depth = model.get("depth"), k = model.get("thoughts");
    if (model.get("kind") === "bare") {
      const levels = data.thoughts.slice(0, depth).map((row, level) =>
        row.flatMap((value, node) => (value >= threshold ? [{ id: `${level}-${node}`, node, value, level: level + 1 }] : [])));
      const from = (level, node) => (level === 0 ? data.facts.some(([a, b]) => a === data.asked && b === node) ? ["root"] : []
        : levels[level - 1].filter((one) => data.facts.some(([a, b]) => a === one.node && b === node)).map((one) => one.id));
      return levels.flatMap((row, level) => row.map((one) => ({ ...one, from: from(level, one.node) })));
    }
    return data.trees[k].filter((one) => one.path.length <= depth && one.value >= threshold).map((one) => ({
      id: one.path.join("-"), node: one.path.at(-1), value: one.value, level: one.path.length, path: one.path, answers: one.answers,
      from: [one.path.length > 1 ? one.path.slice(0, -1).join("-") : "root"],
    }));
  }

  function drawTree() {
    const all = branches(), levels = Math.max(1, ...all.map((one) => one.level));
    const places = new Map([["root", { x: 60, y: 0 }]]);
    let bottom = 0;
    if (model.get("kind") === "bare") {
      for (let level = 1; level <= levels; level++) {
        const row = all.filter((one) => one.level === level).sort((a, b) => b.value - a.value);
        row.forEach((one, at) => places.set(one.id, { x: 60 + level * COLUMN, y: at * ROW }));
        bottom = Math.max(bottom, (row.length - 1) * ROW);
      }
    } else {
      const grow = (id) => { // leaves one below the other; a parent beside the middle of its children
        const children = all.filter((one) => one.from[0] === id).sort((a, b) => b.value - a.value);
        const ys = children.map((one) => grow(one.id));
        const y = ys.length ? (ys[0] + ys.at(-1)) / 2 : (bottom += ROW) - ROW;
        places.set(id, { x: 60 + (all.find((one) => one.id === id)?.level ?? 0) * COLUMN, y });
        return y;
      };
      grow("root");
      bottom = Math.max(0, bottom - ROW);
    }
    const top = ROW, width = 120 + levels * COLUMN, height = bottom + 2 * ROW;
    if (model.get("kind") === "bare") places.get("root").y = bottom / 2;
    const links = all.flatMap((one) => one.from.filter((id) => places.has(id)).map((id) => {
      const a = places.get(id), b = places.get(one.id);
      return make("path", { class: "link", "data-node": one.node, d: curve([[a.x + PILL.width / 2, a.y + top], [b.x - PILL.width / 2 + 6, b.y + top]]), "--w": one.value });
    }));
    const pill = (id, text, share, attributes) => {
      const { x, y } = places.get(id);
      return make("g", { ...attributes, "--p": share ?? 0 },
        make("rect", { x: x - PILL.width / 2, y: y + top - PILL.height / 2, width: PILL.width, height: PILL.height, rx: 13 }),
        make("text", { x, y: y + top + 4.5 }, text));
    };
    const first = model.get("kind") === "bare" ? name(data.asked) : `${model.get("thoughts")} · <eot>`;
    tree.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Search tree", style: `max-width: ${width * 1.15}px; width: 100%` },
      ...links, pill("root", first, 0, { class: "start" }),
      ...all.map((one) => pill(one.id, `${shortened(data.names[one.node], 9)} ${digits(one.value)}`, one.value, {
        class: ["branch", one.node === data.target && "target", one.value > 0.7 && "dark"].filter(Boolean).join(" "), "data-node": one.node,
        "data-path": (one.path ?? [one.node]).join("-"), tabindex: -1, role: "img",
        "aria-label": [name(one.node), `value ${digits(one.value)}`, roleOf(data, one.node).slice(2), one.answers > 0.5 && "then it answers"].filter(Boolean).join(", "),
      }))));
    stops.refresh();
    return all;
  }

  function drawGraph() {
    shown = graphOf(data, "Graph of the facts");
    graph.replaceChildren(shown.picture);
    for (const [node, group] of shown.nodes.entries()) say(group.lastChild, roleOf(data, node));
  }

  /** Light a node, or the nodes of a path, in both views. */
  function point(nodes = []) {
    root.classList.toggle("pointing", nodes.length > 0);
    const last = nodes.at(-1);
    for (const one of tree.querySelectorAll("[data-node]")) one.classList.toggle("lit", nodes.length > 0 && Number(one.dataset.node) === last);
    for (const [node, group] of shown.nodes.entries()) group.classList.toggle("lit", nodes.includes(node));
    for (const [n, edge] of shown.edges.entries()) edge.classList.toggle("lit", nodes.some((node, at) => data.facts[n][0] === node && data.facts[n][1] === nodes[at + 1]));
    say(detail, nodes.length ? describe(nodes) : "Point at a branch or a node to see it in both.");
  }

  function describe(nodes) {
    const last = nodes.at(-1), hops = data.distances[last], role = roleOf(data, last);
    const place = hops === null ? `out of reach from ${name(data.asked)}` : hops ? `${count(hops, "hop")} from ${name(data.asked)}` : "asked about";
    return `${nodes.map(name).join(" → ")}: ${place}${role ? `, ${role.slice(2)}` : ""}.`;
  }

  for (const event of ["pointerover", "focusin"]) root.addEventListener(event, (one) => {
    const found = one.target.closest?.("[data-node]");
    if (!found) return point();
    point((found.dataset.path ?? found.dataset.node).split("-").map(Number));
  });
  root.addEventListener("pointerleave", () => point());

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    say(title, `Is ${name(data.asked)} a ${name(data.options[0])} or a ${name(data.options[1])}?`);
    say(meta, `${data.source} · ${data.model}`);
    index.value = model.get("index");
    set(index, { max: model.get("count") - 1 });
    modelList.update(model.get("models"), model.get("model_name"));
    kindList.update(Object.entries(KINDS), model.get("kind"));
    set(sliders.thoughts.input, { max: data.trained });
    for (const [trait, { input, value }] of Object.entries(sliders)) {
      input.value = model.get(trait);
      say(value, trait === "threshold" ? model.get(trait).toFixed(3) : String(model.get(trait)));
    }
    sliders.thoughts.element.hidden = model.get("kind") === "bare";
    const wanted = JSON.stringify([data.names, data.facts, data.asked]);
    if (wanted !== built) drawGraph();
    built = wanted;
    const all = drawTree(), kind = model.get("kind");
    for (const [node, group] of shown.nodes.entries()) {
      const share = Math.min(1, all.filter((one) => one.node === node && one.level === 1).reduce((sum, one) => sum + one.value, 0));
      const hop = kind === "bare" ? 1 : model.get("thoughts") + data.offset;
      set(group, { "--p": share, class: ["node", share > 0.7 && "dark", data.distances[node] === hop && "frontier"].filter(Boolean).join(" ") });
    }
    const best = all.filter((one) => one.level === Math.max(...all.map((other) => other.level))).sort((a, b) => b.value - a.value)[0];
    say(said, all.length === 0 ? "No branch is worth that much: lower the threshold."
      : kind === "bare" ? `Thoughts 1 to ${Math.max(...all.map((one) => one.level))}, one level each. The bare thoughts hold a frontier; they do not choose in it.`
        : `After ${count(model.get("thoughts"), "thought")} the next concept lies ${count(model.get("thoughts") + data.offset, "hop")} from ${name(data.asked)}: ${count(all.filter((one) => one.level === 1).length, "branch").replace("branchs", "branches")}. The deepest and most valuable ends at ${name(best.node)}, ${digits(best.value)}.`);
    point();
  }

  const end = follow(model, TRAITS, draw);
  draw();
  return end;
}

export default { render };
