import { count, dropDown, follow, frame, isolated, make, roving, say, set, setting,
  shortened } from "../browser/shared.js";
import { arrows, figures, parsed, slider } from "../browser/controls.js";

// The curriculum view. Its traits and its data: widget.py and data.py. All is drawn here, without
// the kernel: `data` has every method at every setting.

const TRAITS = ["data", "method", "stage", "thoughts_per_step", "max_stage", "max_tokens", "pad_to_max"];
const LETTERS = { Q: "question", B: "<bot>", T: "thought", P: "pause token", E: "<eot>", D: "dropped step", S: "step", A: "answer" };
const MOST_ROWS = 12, MOST_COLUMNS = 64; // of the picture of all stages

function render({ model, el }) {
  const root = frame(el, "curriculum", "The curriculum, stage by stage");
  const change = setting(model);
  let data = {}, now = null, read = null, built = "", cells = [];

  const title = make("h3"), meta = make("p", { class: "meta" }), inWords = make("span", { class: "meta" });
  const methods = dropDown("Method", (method) => change({ method }));
  const stage = slider("Stage", 0, (to) => change({ stage: to }));
  const last = slider("max_stage", 0, (to) => change({ [now.unit === "token" ? "max_tokens" : "max_stage"]: to }));
  const each = slider("Thoughts per step, c", 1, (to) => change({ thoughts_per_step: to }));
  const pad = make("input", { type: "checkbox", change: () => change({ pad_to_max: pad.checked }) });
  const all = make("div", { class: "all" }), said = make("p", { class: "said", role: "status" });
  const bands = make("div", { class: "encoding" }), legend = make("p", { class: "legend meta" }), detail = make("p", { class: "detail meta" });
  const tokens = make("h4"), facts = make("div", { class: "figures" }), gradient = make("p");
  const asked = make("h4"), prompt = make("div", { class: "prompt" });
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "stepping" },
      make("div", { class: "flow" }, methods.element, inWords),
      make("div", { class: "flow" }, stage.element, last.element, each.element, make("label", { class: "field" }, pad, make("span", {}, "pad to maximum")))),
    said,
    make("div", { class: "part" }, make("h4", {}, "All stages at once; click one"), all),
    make("div", { class: "part views" }, make("div", {}, tokens, bands, legend, detail), make("div", {}, make("h4", {}, "What is trained"), facts, gradient)),
    make("div", { class: "part" }, asked, prompt),
  );
  const rowStops = roving(all, () => [...all.children]);
  const cellStops = roving(bands, () => cells.filter((cell) => !cell.classList.contains("off")));
  arrows(root, () => now.stage, () => now.last + 1, (to) => change({ stage: to }));

  /** What the traits say, brought within reach of each other. */
  function settings() {
    const name = model.get("method"), method = data.methods[name], last = model.get(method.unit === "token" ? "max_tokens" : "max_stage");
    const [c, pad] = method.stand_in ? [model.get("thoughts_per_step"), Number(model.get("pad_to_max"))] : [1, 1];
    const rows = method.stages[`${last} ${c} ${pad}`].map((number) => {
      const [latent, dropped, asked, sentence] = data.rows[number];
      return { latent, dropped, asked, sentence };
    });
    const stage = Math.min(model.get("stage"), last + 1);
    return { ...method, name, last, rows, stage, row: rows[stage] };
  }

  /** The parts of a row in their order: [letter, how many]. */
  const runs = ({ latent, dropped }) => [
    ["B", Number(now.markers)], [now.stand_in, latent], ["E", Number(now.markers)],
    ["D", dropped], ["S", data.steps.length - dropped], ["A", data.answer.length],
  ].filter(([, many]) => many > 0);

  function drawAll() {
    const marks = 2 * Number(now.markers), widest = Math.max(...now.rows.map((row) => row.latent)) + marks;
    const columns = widest + data.steps.length + data.answer.length, many = columns > MOST_COLUMNS;
    const shown = new Set(Array.from({ length: MOST_ROWS }, (_, n) => Math.round((n * (now.rows.length - 1)) / (MOST_ROWS - 1))).concat(now.stage));
    const focused = all.contains(document.activeElement);
    all.replaceChildren(...[...shown].sort((a, b) => a - b).map((at) => {
      const row = now.rows[at], parts = runs(row);
      let start = widest - row.latent - marks + 1; // against the language, so that stairs show
      const boxes = parts.flatMap(([letter, length]) => Array.from({ length: many ? 1 : length }, () => {
        const size = many ? length : 1, box = make("i", { "data-letter": letter, style: `grid-column: ${start} / span ${size}` }, many && size > 1 ? `${letter}×${size}` : letter);
        start += size;
        return box;
      }));
      const name = now.unit === "token" ? count(at, "token") : `stage ${at}`;
      return make("button", { type: "button", "data-stage": at, "aria-current": at === now.stage, "aria-label": `${name}: ${parts.map(([letter, length]) => `${length} × ${LETTERS[letter]}`).join(", ")}`, click: () => change({ stage: at }) },
        make("b", {}, name), make("i", { "data-letter": "Q" }, `Q×${data.question.length}`),
        make("span", { class: "boxes", style: `grid-template-columns: repeat(${columns}, minmax(0, 1fr)); max-width: ${columns * 36}px` }, ...boxes),
        make("span", { class: "meta" }, parts.filter(([letter]) => !"BE".includes(letter)).map(([letter, length]) => `${length} ${letter}`).join(" · ")));
    }));
    const current = all.querySelector("[aria-current]");
    rowStops.refresh();
    if (focused) current.focus();
  }

  /** Make a cell for every token that any stage of the method has: stepping then only changes them. */
  function build() {
    const most = Math.max(...now.rows.map((row) => row.latent)), marks = Number(now.markers);
    const cell = (part, text) => make("span", { class: "cell", "data-part": part, tabindex: -1 }, make("span", {}, isolated(shortened(text, 18))), make("b"));
    const latent = [
      ...Array.from({ length: marks }, () => cell("B", "<bot>")),
      ...Array.from({ length: most }, (_, k) => cell(now.stand_in, `${now.stand_in === "T" ? "thought" : "pause"} ${k + 1}`)),
      ...Array.from({ length: marks }, () => cell("E", "<eot>")),
    ];
    const parts = [
      ["Question", "masked", data.question.map(([, text]) => cell("Q", text))],
      [now.stand_in === "P" ? "Pause tokens" : "Thoughts", "masked", latent],
      ["Language", "the loss sees it", [...data.steps.map(([, text]) => cell("S", text)), ...data.answer.map(([, text]) => cell("A", text))]],
    ];
    cells = parts.flatMap(([, , found]) => found);
    bands.replaceChildren(...parts.filter(([, , found]) => found.length).map(([name, note, found]) =>
      make("div", { class: "band" }, make("p", {}, make("b", {}, name), make("span", { class: "meta" }, note)), make("div", { class: "cells" }, ...found))));
  }

  function drawEncoding() {
    const labels = [...data.steps, ...data.answer], { row } = now;
    let position = 0, stand = 0, learned = 0;
    for (const cell of cells) {
      const part = cell.dataset.part, inLanguage = "SA".includes(part), number = inLanguage ? learned++ : "TP".includes(part) ? ++stand : 0;
      const letter = part === "S" && number < row.dropped ? "D" : part;
      const off = "TP".includes(part) && number > row.latent, there = !off && letter !== "D";
      const label = !there ? null : inLanguage ? labels[number][0] : -100;
      set(cell, {
        class: off ? "cell off" : "cell", "data-letter": letter, "data-position": there ? position : null, "data-label": label, "aria-hidden": off,
        role: "img", "aria-label": off ? null : `${cell.firstChild.textContent}, ${letter}: ${LETTERS[letter]}${there ? `, position ${position}` : ""}`,
      });
      say(cell.lastChild, letter);
      if (there) position += 1;
    }
    cellStops.refresh();
    const used = new Set(now.rows.flatMap(runs).map(([letter]) => letter).concat("Q"));
    legend.replaceChildren(...Object.entries(LETTERS).filter(([letter]) => used.has(letter)).map(([letter, name]) =>
      make("span", {}, make("i", { "data-letter": letter }, letter), ` ${name}`)), make("span", {}, make("i", { class: "line" }), " has a label: the loss sees it"));
    return { total: position, supervised: labels.length - row.dropped };
  }

  function draw() {
    const fresh = read !== model.get("data");
    if (fresh) data = parsed(read = model.get("data"));
    if (!data.methods) return;
    now = settings();
    const { row, unit } = now, key = `${now.name} ${now.rows.map((one) => one.latent)}`;
    const counted = unit === "token", where = counted ? `${count(now.stage, "token")} removed` : `stage ${now.stage}`;
    say(title, `${now.name}, ${where}`);
    say(inWords, now.in_words);
    const padding = now.stand_in ? [`c = ${model.get("thoughts_per_step")}`, model.get("pad_to_max") ? "padded to maximum" : "not padded"] : [];
    say(meta, [count(data.units.step[0], "step"), `max_stage ${now.last}`, ...padding].join(" · "));
    methods.update(Object.keys(data.methods), now.name);
    stage.update(now.stage, now.last + 1, { named: counted ? "Tokens removed" : "Stage" });
    last.update(now.last, data.units[unit][1]);
    each.update(model.get("thoughts_per_step"), 3, { disabled: !now.stand_in });
    [pad.checked, pad.disabled] = [model.get("pad_to_max"), !now.stand_in];
    if (fresh || built !== key) build();
    built = key;
    drawAll();
    const { total, supervised } = drawEncoding(), fed = now.stand_in === "T" ? row.latent : 0;
    const left = data.steps.length === row.dropped ? "only the answer" : row.dropped ? "what is left of the steps, the answer" : "every step, the answer";
    say(said, `${data.sentences[row.sentence].replace("#", now.stage)} The loss sees ${left} and the end of sequence: ${count(supervised, "token")}.`);
    say(tokens, `What the model is trained on: ${count(total, "token")}`);
    figures(facts, [
      ["supervised", supervised, "positions where the loss asks for a token"], ["masked", total - supervised, "positions with label −100"],
      ["fed back", fed, "hidden states that go back in as thoughts"], ["passes", fed + 1, fed ? `n + 1 = ${fed} + 1` : "no thought, so one"],
    ]);
    const first = data.question.length + 1, final = first + fed - 1;
    say(gradient, `Masked is not frozen: no loss asks for these tokens, but later positions attend to them, so all ${total - supervised} masked positions get gradient.`
      + (fed ? ` Through ${fed === 1 ? "the thought" : `the ${fed} thoughts`} (${fed === 1 ? `position ${first}` : `positions ${first} to ${final}`}) it flows on into the hidden state that was fed back, and so into the pass before: back-propagation through time.`
        : now.stand_in === "P" && row.latent ? " A pause token has an embedding of its own; no hidden state is fed back." : ""));
    say(asked, `What it is asked at inference: the prompt${now.markers || row.asked ? ` with ${count(row.asked, now.stand_in === "P" ? "pause token" : "thought")}` : ", the question alone"}`);
    const prompted = [["B", Number(now.markers)], [now.stand_in, row.asked], ["E", Number(now.markers)]];
    prompt.replaceChildren(make("i", { "data-letter": "Q" }, `the question, ${count(data.question.length, "token")}`),
      ...prompted.flatMap(([letter, many]) => Array.from({ length: many }, () => make("i", { "data-letter": letter }, letter))), make("span", { class: "meta" }, "→ the model goes on from here"));
    point();
  }

  /** Say what a token is, and light it with the position that it comes from or is predicted at. */
  function point(cell) {
    const { letter, position, label } = cell?.dataset ?? {}, at = Number(position);
    const before = "TSA".includes(letter ?? "-") ? cells.find((one) => one.dataset.position === String(at - 1)) : null;
    for (const one of cells) {
      one.classList.toggle("lit", one === cell);
      one.classList.toggle("from", one === before);
    }
    const text = cell?.firstChild.textContent;
    say(detail, !cell ? "Point at a token, or reach it with Tab and ↑ ↓: what it is, and what it has to do with the position before it."
      : letter === "D" ? `${text}: a dropped step. It is not in the input at this stage.`
        : letter === "T" ? `${text}, position ${at}, no label. What goes in is the hidden state of position ${at - 1}; gradient flows back through it.`
          : letter === "P" ? `${text}, position ${at}, no label. Its embedding goes in; no hidden state is fed back.`
            : "SA".includes(letter) ? `${text}, position ${at}, label ${label}: the loss asks for it at position ${at - 1}, which predicts it.`
              : `${text}, position ${at}: ${LETTERS[letter]}, label −100. Nothing is asked of it; later positions attend to it.`);
  }
  for (const event of ["pointerover", "focusin"]) bands.addEventListener(event, (one) => point(one.target.closest?.(".cell")));
  bands.addEventListener("pointerleave", () => point());

  const end = follow(model, TRAITS, draw);
  draw();
  return end;
}

export default { render };
