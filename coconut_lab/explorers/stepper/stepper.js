import { count, curve, digits, dropDown, follow, frame, isolated, make, roving, say, set, shortened, tip } from "../browser/shared.js";

// The thought stepper. Its traits and its data: widget.py and data.py. Stepping and pointing is drawn
// here; what needs the model changes a trait, and new data comes back.

const NODE_WIDTH = 80, NODE_HEIGHT = 42; // as in layout.py
const HELD = 0.05; // a name with less is hardly there
const CHANGED = 0.005; // a difference that two digits show
const PATIENCE = 4000; // ms without an answer, after which a reader wants to know why
const SOURCES = { list: "from the list", new: "a new one", own: "my own" };
const HELP = "Sentences, as above, or symbols: | Tom cat | cat hunter | Eva fish [Q] hunter fish [R] Tom. " +
  "Use any names. One option must be in reach, the other not.";
const TRAITS = ["data", "original", "thought", "budget", "source", "index", "seed", "text", "models", "model_name",
  "throughs", "through", "controls", "control_name", "message"];

function render({ model, el }) {
  const root = frame(el, "stepper", "Thought stepper");
  let data = model.get("data"), original = data, view = null, built = "", timer = null, waiting = null, pinned = null;
  const name = (node) => isolated(data.names[node]);
  const last = () => data.reading.answers.length - 1;
  const thought = () => Math.min(model.get("thought"), last());
  const budget = () => Math.min(model.get("budget"), last());
  const reading = (from, number = thought()) => from?.thoughts.find((one) => one.number === number);
  const edited = () => data.removed.length > 0 || data.asked !== original.asked;
  const was = () => (edited() ? original.reading : null);
  const sentence = ([parent, child], from = data) =>
    `${from.roots.includes(parent) ? name(parent) : `Every ${name(parent)}`} is a ${name(child)}`;

  // --- what a hand can do -------------------------------------------------------------------------

  function change(values) {
    for (const [trait, value] of Object.entries(values)) model.set(trait, value);
    model.save_changes();
  }

  /** Change what the model has to answer; if nothing comes back, say so. */
  function ask(values) {
    change(values);
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      say(slow, "The kernel has not answered. It is busy, or gone: then run the cell again. Stepping and pointing work without it.");
      slow.hidden = false;
    }, PATIENCE);
  }

  const answered = () => { clearTimeout(waiting); slow.hidden = true; };
  const step = (to) => change({ thought: Math.max(0, Math.min(last(), to)) });
  const restore = () => edited() && ask({ removed: [], asked: original.names[original.asked] });

  function toggle(fact) {
    const away = new Set(data.removed);
    if (!away.delete(fact)) away.add(fact);
    ask({ removed: [...away].sort((a, b) => a - b) });
  }

  function act(node) {
    if (data.roots.includes(node) && node !== data.asked) ask({ asked: data.names[node] });
    else pin(node);
  }

  function pin(node) {
    pinned = pinned === node ? null : node;
    point(node);
  }

  function play() {
    const stop = () => { clearInterval(timer); timer = null; say(playing, "▶ Play"); };
    if (timer !== null) return stop();
    step(thought() === last() ? 0 : thought() + 1);
    timer = setInterval(() => {
      if (thought() < last()) step(thought() + 1);
      if (thought() === last()) stop();
    }, 1100);
    say(playing, "❚❚ Stop");
  }

  /** Light a node or a fact wherever it appears; without either, what is pinned. */
  function point(node = null, fact = null) {
    if (node === null && fact === null) node = pinned;
    const facts = fact !== null ? [fact] : data.facts.flatMap((ends, n) => (ends.includes(node) ? [n] : []));
    const nodes = fact !== null ? data.facts[fact] : [node];
    root.classList.toggle("pointing", node !== null || fact !== null);
    for (const one of view.linked) {
      const lit = one.dataset.node ? nodes.includes(Number(one.dataset.node)) : facts.includes(Number(one.dataset.fact));
      one.classList.toggle("lit", lit);
      one.classList.toggle("pinned", one.dataset.node !== undefined && Number(one.dataset.node) === pinned);
    }
    say(detail, fact !== null ? `${sentence(data.facts[fact])}${data.removed.includes(fact) ? " (taken away)" : ""}.`
      : node !== null ? history(node) : "Point at a name or a fact to see where it appears.");
  }

  function history(node) {
    const hops = data.distances[node], facts = data.facts.filter((ends) => ends.includes(node)).length;
    const place = hops === null ? `out of reach from ${name(data.asked)}` : hops ? `${count(hops, "hop")} from ${name(data.asked)}` : "asked about";
    const held = data.reading.thoughts.filter((one) => one.number <= thought()).map((one) => `thought ${one.number}: ${digits(one.nodes[node])}`);
    return `${name(node)}, ${place}, in ${count(facts, "fact")}. ${held.join(", ") || "No thought yet"}.`;
  }

  // --- parts that stay ------------------------------------------------------------------------------

  const title = make("h3"), meta = make("p", { class: "meta" });
  const sources = make("div", { class: "segments", role: "radiogroup", "aria-label": "Where the problem comes from" });
  const group = `source-${Math.random().toString(36).slice(2)}`;
  const radios = Object.entries(SOURCES).map(([value, text]) => {
    const radio = make("input", { type: "radio", name: group, value, change: () => ask({ source: value }) });
    sources.append(make("label", {}, radio, make("span", {}, text)));
    return radio;
  });
  const numberField = (label, trait) => {
    const input = make("input", { type: "number", min: 0, change: () => {
      const value = Math.round(Number(input.value)), most = Number(input.max);
      if (input.value !== "" && value >= 0 && value <= most) ask({ [trait]: value });
      else input.value = model.get(trait);
    } });
    return [make("label", { class: "field" }, make("span", {}, label), input), input];
  };
  const [indexField, index] = numberField("number", "index"), [seedField, seed] = numberField("seed", "seed");
  const [thoughtsField, thoughts] = numberField("thoughts", "thoughts");
  set(seed, { max: 2 ** 31 - 1 });
  set(thoughts, { min: 1 });
  const next = make("button", { type: "button", click: () => ask({ seed: model.get("seed") + 1 }) }, "Another");
  const newRow = make("div", { class: "flow" }, seedField, next);
  const text = make("textarea", { rows: 5, spellcheck: "false", "aria-label": "My own problem", change: () => ask({ source: "own", text: text.value }) });
  const ownRow = make("div", { class: "own" }, text, make("div", { class: "flow" },
    make("button", { type: "button", click: () => ask({ source: "own", text: text.value }) }, "Ask this"), make("p", { class: "meta" }, HELP)));
  const modelList = dropDown("Model", (value) => ask({ model_name: value }));
  const throughList = dropDown("Read through", (value) => ask({ through: value }));
  const controlList = dropDown("Control", (value) => ask({ control_name: value }));
  const alert = make("p", { class: "alert", role: "alert" }), slow = make("p", { class: "alert", role: "status", hidden: "" });
  const back = make("button", { type: "button", class: "back", click: () => { restore(); root.querySelector(".facts [tabindex='0']")?.focus(); } }, "Back to the original", make("kbd", {}, "Esc"));
  const changes = make("p", { class: "changes" });
  const facts = make("div", { class: "facts", role: "group", "aria-label": "Facts" });
  const playing = make("button", { type: "button", class: "play", click: play }, "▶ Play");
  const slider = make("input", { type: "range", min: 0, "aria-label": "Thought", input: () => step(Number(slider.value)) });
  const place = make("output", { class: "place" });
  const picture = make("div", { class: "picture" }), words = make("table", { class: "words" });
  const said = make("p", { class: "said", role: "status" }), detail = make("p", { class: "detail" });
  const answers = make("table", { class: "answers" }), note = make("p", { class: "meta" });
  const heading = (content) => make("h4", {}, content);
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "flow tools" }, sources, indexField, newRow),
    ownRow,
    make("div", { class: "flow tools" }, modelList.element, throughList.element, controlList.element, thoughtsField),
    alert, slow,
    make("div", { class: "flow told" }, heading("Facts: click one to take it away, again to put it back"), changes, back),
    facts,
    make("div", { class: "flow stepping" }, playing, slider, place, make("span", { class: "meta" }, "← → Home End")),
    make("div", { class: "views" },
      make("div", { class: "seen" }, heading("Where the thought is in the graph: click another root to ask about it"), picture, legend(), said),
      make("div", { class: "seen" }, heading("What each thought decodes to, nearest names first"), words, detail)),
    make("div", { class: "forced" }, heading("If it had to answer early: probability of each option"), answers),
    note,
  );

  root.addEventListener("keydown", (event) => {
    if (event.target.matches("textarea, select, input:not([type=range])") || event.altKey || event.ctrlKey || event.metaKey) return;
    const go = { ArrowLeft: thought() - 1, ArrowRight: thought() + 1, Home: 0, End: last() }[event.key];
    if (go !== undefined) step(go);
    else if (event.key === "Escape") restore();
    else if ((event.key === "Enter" || event.key === " ") && event.target.matches("g.node")) act(Number(event.target.dataset.node));
    else return;
    event.preventDefault();
  });
  const aim = (event) => {
    const found = event.target.closest?.("[data-node], [data-fact]");
    if (!found || !view) return point();
    if (found.dataset.node) point(Number(found.dataset.node));
    else point(null, Number(found.dataset.fact));
  };
  for (const event of ["pointerover", "focusin"]) root.addEventListener(event, aim);
  root.addEventListener("pointerleave", () => view && point());
  root.addEventListener("focusout", () => view && point());
  const stops = [
    roving(facts, () => [...facts.children]),
    roving(picture, () => [...picture.querySelectorAll("g.node")]),
    roving(words, () => [...words.querySelectorAll("tbody button")]),
  ];

  // --- parts of one problem -------------------------------------------------------------------------

  /** Make the elements of a problem anew: its facts, its graph, its tables. */
  function build() {
    pinned = null;
    const numbers = data.reading.thoughts.map((one) => one.number);
    view = { numbers, facts: [], nodes: [], edges: [], rows: [], linked: [] };
    view.facts = data.facts.map(([parent, child], n) => make("button", { type: "button", "data-fact": n, click: () => toggle(n) },
      make("bdi", {}, data.names[parent]), make("i", { "aria-hidden": "true" }, "→"), make("bdi", {}, data.names[child])));
    facts.replaceChildren(...view.facts);
    drawGraph();
    words.replaceChildren(
      make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "hops" }, "hops"), make("th", { scope: "col" }, "name"),
        ...(view.heads = numbers.map((k) => make("th", { scope: "col" }, make("button", { type: "button", click: () => step(k) }, `Thought ${k}`)))))),
      make("tbody", {}, ...(view.rows = data.names.map(row))),
      make("tfoot", {}, make("tr", {}, make("th"), make("th", { scope: "row" }, "other words"), ...(view.others = numbers.map(() => make("td"))))),
    );
    const option = (n) => (view.options[n] = make("th", { scope: "col", "data-node": data.options[n], class: `option${n}` }));
    view.options = [];
    answers.replaceChildren(
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "after"), option(0), option(1), make("th", { scope: "col", class: "shares" }),
        (view.scored = make("th", { scope: "col" })))),
      make("tbody", {}, ...(view.answers = data.reading.answers.map((_, k) => make("tr", { click: () => change({ budget: k }) },
        make("th", { scope: "row" }, make("button", { type: "button" }, count(k, "thought"))),
        make("td"), make("td"), make("td", { class: "shares" }, make("div", {}, make("i"), make("i"), make("b"))), make("td", { class: "score" }))))),
    );
    view.linked = [...view.facts, ...view.nodes, ...view.edges, ...view.rows, ...view.options];
  }

  function row(text, node) {
    const button = make("button", { type: "button", click: () => pin(node) }, make("bdi", {}, text));
    return make("tr", { "data-node": node }, make("td", { class: "hops" }), make("th", { scope: "row" }, button),
      ...view.numbers.map((k) => make("td", { class: "cell", click: () => step(k) }, make("span"), make("small"))));
  }

  function drawGraph() {
    if (!data.layout) {
      picture.replaceChildren(make("p", { class: "meta" }, `The graph has ${data.names.length} names, too many to draw. Facts, words and answers are all here.`));
      return;
    }
    const { width, height, nodes, edges } = data.layout;
    view.edges = data.facts.map((_, n) => make("g", { class: "edge", "data-fact": n, click: () => toggle(n) },
      make("path", { class: "hit", d: curve(edges[n]) }), make("path", { d: curve(edges[n]) }), tip(edges[n].at(-1))));
    view.nodes = data.names.map((text, node) => {
      const [x, y] = nodes[node], left = x - NODE_WIDTH / 2, top = y - NODE_HEIGHT / 2;
      const box = (grow, attributes) => make("rect", { x: left - grow, y: top - grow, width: NODE_WIDTH + 2 * grow, height: NODE_HEIGHT + 2 * grow, ...attributes });
      return make("g", { class: "node", "data-node": node, role: "button", click: () => act(node) },
        make("title"), box(5, { class: "ring", rx: 16 }), box(0, { class: "body", rx: 11 }),
        make("rect", { class: "control", x: left + 8, y: top + NODE_HEIGHT - 5, height: 3, rx: 1.5 }),
        make("text", { class: "name", x, y: y - 2 }, shortened(text, 11)), make("text", { class: "share", x, y: y + 14 }),
        make("g", { class: "role" }, make("rect", { x: left + 4, y: top - 13, height: 16, rx: 8 }), make("text", { x: left + 10, y: top - 1 })));
    });
    picture.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Graph of the facts",
      style: `max-width: ${width * 1.25}px; min-width: ${Math.min(width, 460) * 0.85}px; width: 100%` }, ...view.edges, ...view.nodes));
  }

  // --- what is seen now -----------------------------------------------------------------------------

  function draw() {
    data = model.get("data");
    if (!data.names) return;
    original = model.get("original");
    const wanted = JSON.stringify([data.names, data.facts, data.reading.through, last()]);
    if (wanted !== built) build();
    built = wanted;
    const [first, second] = data.options.map(name);
    say(title, `Is ${name(data.asked)} a ${first} or a ${second}?`);
    const hops = data.target === null ? "no single answer" : `${count(data.distances[data.target], "hop")} to the answer`;
    say(meta, `${data.source} · ${data.names.length} names, ${count(data.facts.length - data.removed.length, "fact")}, ${hops}`);
    drawTools();
    drawChange();
    const k = thought();
    set(slider, { max: last(), "aria-valuetext": `thought ${k} of ${last()}` });
    slider.value = k;
    say(place, `Thought ${k} of ${last()}${k > data.card.trained ? " (more than it was trained with)" : ""}`);
    drawNodes();
    drawWords();
    drawAnswers();
    say(said, caption());
    say(note, [data.note, data.control && `Grey, below each bar: ${data.control.in_words}.`].filter(Boolean).join(" "));
    for (const stop of stops) stop.refresh();
    point();
    set(root, { "data-thought": k, "data-budget": budget() });
  }

  function drawTools() {
    const source = model.get("source"), shown = { list: indexField, new: newRow, own: ownRow };
    for (const radio of radios) radio.checked = radio.value === source;
    for (const [key, element] of Object.entries(shown)) element.hidden = key !== source;
    set(index, { max: (model.get("count") ?? 1) - 1 });
    set(thoughts, { max: data.card.trained + 3 });
    for (const [input, trait] of [[index, "index"], [seed, "seed"], [thoughts, "thoughts"]]) input.value = model.get(trait);
    if (root.ownerDocument.activeElement !== text) text.value = model.get("text");
    modelList.update(model.get("models"), model.get("model_name"));
    const throughs = { head: "the language-model head", "<eot>": "<eot>, then the next concept" };
    throughList.update(model.get("throughs").map((way) => [way, throughs[way] ?? `layer ${way}, then the head`]), model.get("through"));
    controlList.update(model.get("controls"), model.get("control_name"));
    const message = model.get("message");
    say(alert, message && `This cannot be shown: ${isolated(message)}. The picture stays as it was.`);
    alert.hidden = !message;
  }

  function drawChange() {
    const parts = data.removed.map((n) => `without “${sentence(data.facts[n])}”`);
    if (data.asked !== original.asked) parts.push(`asked about ${name(data.asked)} instead of ${name(original.asked)}`);
    say(changes, parts.length ? `Changed: ${parts.join(", ")}.` : "");
    back.hidden = !edited();
    for (const [n, chip] of view.facts.entries()) {
      const away = data.removed.includes(n);
      set(chip, { "aria-pressed": String(!away), "aria-label": `${sentence(data.facts[n])}${away ? ", taken away" : ""}`, title: away ? "Put this fact back" : "Take this fact away" });
    }
  }

  function drawNodes() {
    const now = reading(data.reading), before = reading(was()), beside = reading(data.control?.reading);
    const hop = now ? now.hop : 0;
    for (const [n, edge] of view.edges.entries()) {
      const [from, to] = data.facts[n].map((node) => data.distances[node]);
      const used = !data.removed.includes(n) && from !== null && to === from + 1 && to <= hop;
      set(edge, { class: ["edge", data.removed.includes(n) && "removed", used && "used", used && to === hop && "newest"].filter(Boolean).join(" ") });
    }
    for (const [node, group] of view.nodes.entries()) {
      const share = now?.nodes[node], frontier = data.distances[node] === hop;
      const role = node === data.asked ? "▶ asked" : !data.options.includes(node) ? data.roots.includes(node) ? "ask?" : ""
        : data.target === null ? "◆ option" : node === data.target ? "★ right" : "✕ wrong";
      const classes = ["node", frontier && "frontier", share >= 0.88 && "dark", !now && "unread", data.roots.includes(node) && "root", role === "ask?" && "offer"];
      set(group, { class: classes.filter(Boolean).join(" "), "--p": share ?? 0, "data-probability": share === undefined ? null : share.toFixed(6),
        "aria-label": [name(node), role === "ask?" ? "ask about it" : role.slice(2), now && digits(share), frontier && "on the frontier"].filter(Boolean).join(", ") });
      const [label, , , control, , number, badge] = group.children;
      say(label, `${data.names[node]}${now ? `: ${digits(share)}` : ""}`);
      group.classList.toggle("changed", now !== undefined && difference(share, before?.nodes[node]) !== "");
      say(number, now ? digits(share) + difference(share, before?.nodes[node]) : "");
      set(control, { width: beside ? (NODE_WIDTH - 16) * Math.min(1, beside.nodes[node]) : 0 });
      badge.toggleAttribute("hidden", !role);
      say(badge.lastChild, role);
      set(badge.firstChild, { width: 12 + role.length * 6.3 });
    }
  }

  /** The change against the original, where two digits show one. */
  const difference = (share, before) => before === undefined || Math.abs(share - before) < CHANGED ? ""
    : ` ${share > before ? "+" : "−"}${digits(Math.abs(share - before))}`;

  function drawWords() {
    const far = (node) => data.distances[node] ?? Infinity;
    const order = data.names.map((_, node) => node).sort((a, b) => far(a) - far(b) || a - b);
    const body = words.tBodies[0], focused = root.ownerDocument.activeElement;
    const rows = order.map((node) => view.rows[node]);
    if (rows.some((one, place) => body.children[place] !== one)) {
      body.replaceChildren(...rows);
      if (body.contains(focused)) focused.focus();
    }
    for (const [column, head] of view.heads.entries()) {
      const number = view.numbers[column];
      set(head, { class: number === thought() ? "now" : number > thought() ? "later" : null, "aria-current": number === thought() ? "step" : null });
      head.classList.toggle("untrained", number > data.card.trained);
    }
    for (const [place, node] of order.entries()) {
      const hops = data.distances[node], start = !place || far(order[place - 1]) !== far(node);
      const [label, , ...cells] = view.rows[node].children;
      view.rows[node].classList.toggle("start", start);
      say(label, start ? (hops === null ? "none" : hops ? String(hops) : "asked") : "");
      set(view.rows[node].querySelector("button"), { "aria-label": history(node) });
      for (const [column, cell] of cells.entries()) {
        const number = view.numbers[column], one = reading(data.reading, number), later = number > thought();
        const before = reading(was(), number)?.nodes[node], beside = reading(data.control?.reading, number)?.nodes[node];
        const share = one.nodes[node];
        set(cell, { class: ["cell", later ? "later" : hops === one.hop && "frontier", number === thought() && "now", share < CHANGED && "empty", beside !== undefined && "beside"].filter(Boolean).join(" "),
          "--p": later || share < CHANGED ? 0 : share, "--c": later ? 0 : beside ?? 0, "--was": later || !difference(share, before) ? -1 : before });
        say(cell.firstChild, later ? "·" : digits(share) + difference(share, before));
        say(cell.lastChild, later || beside === undefined ? "" : digits(beside));
      }
    }
    for (const [column, cell] of view.others.entries()) {
      const number = view.numbers[column], found = reading(data.reading, number).words;
      set(cell, { class: number > thought() ? "later" : null });
      say(cell, number > thought() ? "·" : found.map(([word, share]) => `${isolated(shortened(word, 12))} ${digits(share)}`).join(", ") || "none");
    }
  }

  function drawAnswers() {
    for (const [n, head] of view.options.entries()) {
      const node = data.options[n];
      say(head, `${data.target === null ? "◆" : node === data.target ? "★" : "✕"} ${name(node)}`);
    }
    const total = data.card.accuracy[0]?.total;
    say(view.scored, total ? `right on ${total.toLocaleString("en")} problems` : "");
    for (const [k, line] of view.answers.entries()) {
      const [, ...cells] = line.children, pair = data.reading.answers[k], before = was()?.answers[k], beside = data.control?.reading.answers[k];
      set(line, { class: k === budget() ? "now" : null, "aria-current": k === budget() ? "true" : null });
      for (const n of [0, 1]) say(cells[n], digits(pair[n]) + difference(pair[n], before?.[n]) + (beside ? ` (${digits(beside[n])})` : ""));
      set(cells[2].firstChild, { "--a": pair[0], "--b": pair[1], "--was": difference(pair[0], before?.[0]) ? before[0] : -1 });
      const score = data.card.accuracy.find((one) => one.thoughts === k), percent = (share) => (100 * share).toFixed(1);
      say(cells[3], score ? `${percent(score.accuracy)}% (${percent(score.low)} to ${percent(score.high)})` : k > data.card.trained ? "not trained with that many" : "not on this model’s card");
    }
  }

  /** Say in sentences what the picture shows. */
  function caption() {
    const now = reading(data.reading), asked = name(data.asked);
    let text = `No thought yet: the model has read the facts and the question. The ring is on ${asked}.`;
    if (now) {
      const frontier = data.distances.flatMap((hops, node) => (hops === now.hop ? [node] : []));
      const mass = frontier.reduce((sum, node) => sum + now.nodes[node], 0), held = frontier.filter((node) => now.nodes[node] >= HELD).length;
      text = frontier.length ? `Thought ${now.number} puts ${digits(mass)} of its probability on the ${now.hop}-hop frontier (chance: ${digits(frontier.length / data.names.length)})`
        : `No name is ${count(now.hop, "hop")} from ${asked}, so there is no ring`;
      if (frontier.length > 1) text += `; ${held} of its ${frontier.length} names ${held === 1 ? "gets" : "get"} ${HELD} or more`;
      text += ".";
    }
    const pair = data.reading.answers[budget()], n = pair[0] >= pair[1] ? 0 : 1, said = name(data.options[n]);
    const truth = data.target === null ? `The facts lead from ${asked} to ${reachedBoth() ? "both options" : "neither option"}, so no answer is right`
      : data.options[n] === data.target ? "That is right" : "That is wrong";
    const before = was() && data.asked === original.asked ? `, before the change ${digits(original.reading.answers[budget()][n])}` : "";
    const choice = pair[0] + pair[1] < 0.5 ? "it would mostly say something that is not on offer" : `it says ${said} with ${digits(pair[n])}${before}`;
    return `${text} Made to answer after ${count(budget(), "thought")}, ${choice}. ${pair[0] + pair[1] < 0.5 && data.target !== null ? `Right is ${name(data.target)}` : truth}.`;
  }

  const reachedBoth = () => data.options.every((node) => data.distances[node] !== null);

  const end = follow(model, TRAITS, draw);
  const settle = follow(model, ["data", "message", "answered"], answered);
  draw();
  return () => { end(); settle(); clearInterval(timer); clearTimeout(waiting); };
}

const legend = () => make("p", { class: "legend meta" },
  make("span", {}, "0 ", make("i", { class: "shades" }), " 1 probability of the name"),
  make("span", {}, make("i", { class: "sign" }), " frontier: where a search would be"));

export default { render };
