import { count, curve, digits, isolated, make, names, say, set, shortened, tip } from "./shared.js";

// The graph of a problem, where `data.layout` puts its nodes and facts.

const BOX = { width: 80, height: 42 }; // as in stepper/layout.py

/** Draw a graph; gives the picture and its parts, for `fillNode`. `press` and `cut` take a click. */
export function graphOf(data, label, press = null, cut = null) {
  const { width, height, nodes: places, edges: corners } = data.layout;
  const onCut = (n) => cut && (() => cut(n));
  const edges = data.facts.map((_, n) => make("g", { class: "edge", "data-fact": n, click: onCut(n) },
    make("path", { class: "hit", d: curve(corners[n]) }), make("path", { d: curve(corners[n]) }),
    tip(corners[n].at(-1))));
  const nodes = data.names.map((text, node) => {
    const [x, y] = places[node], left = x - BOX.width / 2, top = y - BOX.height / 2;
    const box = (kind, grow, rx) => make("rect", { class: kind, x: left - grow, y: top - grow,
      width: BOX.width + 2 * grow, height: BOX.height + 2 * grow, rx });
    const click = press && (() => press(node));
    return make("g", { class: "node shaded", "data-node": node, role: press && "button", click },
      make("title"), box("ring", 5, 16), box("body", 0, 11),
      make("rect", { class: "control", x: left + 8, y: top + BOX.height - 5, height: 3, rx: 1.5 }),
      make("text", { class: "name", x, y: y - 2 }, shortened(text, 11)),
      make("text", { class: "share", x, y: y + 14 }),
      make("g", { class: "role" }, make("rect", { x: left + 4, y: top - 13, height: 16, rx: 8 }),
        make("text", { x: left + 10, y: top - 1 })));
  });
  const style = `max-width: ${width * 1.25}px; min-width: ${Math.min(width, 300)}px; width: 100%`;
  const attributes = { viewBox: `0 0 ${width} ${height}`, role: press ? "group" : "img", style };
  return { picture: make("svg", { ...attributes, "aria-label": label }, ...edges, ...nodes), nodes, edges };
}

/** Fill a node: its probability, what `said` writes for it, its role, what a control holds `beside`. */
export function fillNode(data, group, { share, said = share === undefined ? "" : digits(share), role = "",
  beside = 0, classes = [] }) {
  const [title, , , control, , number, badge] = group.children, text = data.names[group.dataset.node];
  set(group, { class: names("node", "shaded", !said && "unread", ...classes), "--p": share ?? 0,
    "data-probability": share === undefined ? null : share.toFixed(6) });
  say(title, text + (said && `: ${said}`));
  say(number, said);
  set(control, { width: (BOX.width - 16) * Math.min(1, beside) });
  badge.toggleAttribute("hidden", !role);
  say(badge.lastChild, role);
  set(badge.firstChild, { width: 12 + role.length * 6.3 });
}

/** What a node is to the question: asked, right, wrong, one of two options without an answer, or nothing. */
export function roleOf(data, node) {
  if (node === data.asked) return "▶ asked";
  if (!data.options.includes(node)) return "";
  return data.target === null ? "◆ option" : node === data.target ? "★ right" : "✕ wrong";
}

/** Where a node is, in words. */
export function placeOf(data, node) {
  const hops = data.distances[node], asked = isolated(data.names[data.asked]);
  if (hops === null) return `out of reach from ${asked}`;
  return hops ? `${count(hops, "hop")} from ${asked}` : "asked about";
}

/** The question, in words. */
export function questionOf(data) {
  const [asked, first, second] = [data.asked, ...data.options].map((node) => isolated(data.names[node]));
  return `Is ${asked} a ${first} or a ${second}?`;
}
