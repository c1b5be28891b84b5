// The graph of a problem, small: where `data.layout` puts its nodes and facts.

const BOX = { width: 80, height: 42 }; // as in stepper/layout.py

/** Draw a graph; gives the picture and its parts, to be coloured by whoever draws. */
export function graphOf(data, label) {
  const { width, height, nodes: places, edges: corners } = data.layout;
  const edges = data.facts.map((_, n) => make("g", { class: "edge", "data-fact": n },
    make("path", { d: curve(corners[n]) }), tip(corners[n].at(-1))));
  const nodes = data.names.map((text, node) => {
    const [x, y] = places[node], left = x - BOX.width / 2, top = y - BOX.height / 2;
    return make("g", { class: "node", "data-node": node, tabindex: -1 },
      make("rect", { class: "body", x: left, y: top, width: BOX.width, height: BOX.height, rx: 11 }),
      make("text", { class: "name", x, y: y - 2 }, shortened(text, 11)), make("text", { class: "share", x, y: y + 14 }));
  });
  const picture = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, style: "width: 100%" }, ...edges, ...nodes);
  return { picture, nodes, edges };
}

/** What a node is to the question: "asked", "right", "wrong", or nothing. */
export function roleOf(data, node) {
  if (node === data.asked) return "▶ asked";
  if (!data.options.includes(node)) return "";
  return node === data.target ? "★ right" : "✕ wrong";
}
