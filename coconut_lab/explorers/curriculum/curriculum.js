import { count, dropDown, follow, frame, isolated, make, roving, say, set, setting,
  shortened } from "../browser/shared.js";
import { arrows, figures, parsed, slider } from "../browser/controls.js";

// The curriculum view. Its traits and its data: widget.py and data.py. All is drawn here, without
// the kernel: `data` has every method at every setting.

const TRAITS = ["data", "method", "stage", "thoughts_per_step", "max_stage", "max_tokens", "pad_to_max"];
const LETTERS = {
  Q: "question", B: "<bot>", T: "thought", P: "pause token", E: "<eot>", D: "dropped step", S: "step",
  A: "answer",
};
const MOST_ROWS = 12, MOST_COLUMNS = 64; // of the picture of all stages
const HINT = "Point at a token, or reach it with Tab and ↑ ↓: where it comes from, where it is predicted.";
const box = (letter, text = letter, more = {}) => make("i", { "data-letter": letter, ...more }, text);
const repeated = (many, of) => Array.from({ length: many }, (_, n) => of(n));

function render({ model, el }) {
  const root = frame(el, "curriculum", "The curriculum, stage by stage"), change = setting(model);
  let data = {}, now = null, read = null, built = "", cells = [];

  const title = make("h3"), meta = make("p", { class: "meta" }), inWords = make("span", { class: "meta" });
  const methods = dropDown("Method", (method) => change({ method }));
  const toStage = (stage) => change({ stage }), stage = slider("Stage", 0, toStage);
  const last = slider("max_stage", 0, (to) => change({ [now.limit]: to }));
  const each = slider("Thoughts per step, c", 1, (to) => change({ thoughts_per_step: to }));
  const pad = make("input", { type: "checkbox", change: () => change({ pad_to_max: pad.checked }) });
  const padding = make("label", { class: "field" }, pad, make("span", {}, "pad to maximum"));
  const said = make("p", { class: "said", role: "status" }), all = make("div", { class: "all" });
  const tokens = make("h4"), bands = make("div", { class: "encoding" }), asked = make("h4");
  const legend = make("p", { class: "legend meta" }), detail = make("p", { class: "detail meta" });
  const facts = make("div", { class: "figures" }), gradient = make("p");
  const prompt = make("div", { class: "prompt" });
  root.append(
    make("header", {}, title, meta),
    make("div", { class: "stepping" }, make("div", { class: "flow" }, methods.element, inWords),
      make("div", { class: "flow" }, stage.element, last.element, each.element, padding)),
    said,
    make("div", { class: "part" }, make("h4", {}, "All stages at once; click one"), all),
    make("div", { class: "part views" }, make("div", {}, tokens, bands, legend, detail),
      make("div", {}, make("h4", {}, "What is trained"), facts, gradient)),
    make("div", { class: "part" }, asked, prompt),
  );
  const rowStops = roving(all, () => [...all.children]);
  const cellStops = roving(bands, () => cells.filter((cell) => !cell.classList.contains("off")));
  arrows(root, () => now.stage, () => now.last + 1, toStage);

  /** What the traits say: a method at its settings, the rows of all its stages, that of this stage. */
  function settings() {
    const name = model.get("method"), method = data.methods[name];
    const limit = method.unit === "token" ? "max_tokens" : "max_stage", last = model.get(limit);
    const [c, pad] = method.stand_in ? [model.get("thoughts_per_step"), model.get("pad_to_max")] : [1, true];
    const rows = method.stages[`${last} ${c} ${Number(pad)}`].map((number) => {
      const [latent, dropped, asked, sentence] = data.rows[number];
      return { latent, dropped, asked, sentence };
    });
    const stage = Math.min(model.get("stage"), last + 1), most = Math.max(...rows.map((one) => one.latent));
    return { ...method, name, limit, last, rows, stage, row: rows[stage], most };
  }

  /** The parts of a row in their order: [letter, how many]. */
  const latentRuns = (many) => [["B", Number(now.markers)], [now.stand_in, many], ["E", Number(now.markers)]];
  const runs = ({ latent, dropped }) => [
    ...latentRuns(latent), ["D", dropped], ["S", data.steps.length - dropped], ["A", data.answer.length],
  ].filter(([, many]) => many > 0);

  function drawAll() {
    const marks = 2 * Number(now.markers), widest = now.most + marks, end = now.rows.length - 1;
    const columns = widest + data.steps.length + data.answer.length, single = columns <= MOST_COLUMNS;
    const spread = repeated(MOST_ROWS, (n) => Math.round((n * end) / (MOST_ROWS - 1)));
    const shown = [...new Set([...spread, now.stage])].sort((a, b) => a - b);
    const focused = all.contains(document.activeElement);
    all.replaceChildren(...shown.map((at) => {
      const parts = runs(now.rows[at]), name = now.unit === "token" ? count(at, "token") : `stage ${at}`;
      let start = widest - now.rows[at].latent - marks + 1; // against the language, so that stairs show
      const boxes = parts.flatMap(([letter, many]) => repeated(single ? many : 1, () => {
        const size = single ? 1 : many, style = `grid-column: ${start} / span ${size}`;
        start += size;
        return box(letter, size > 1 ? `${letter}×${size}` : letter, { style });
      }));
      const counted = parts.filter(([letter]) => !"BE".includes(letter));
      const grid = `grid-template-columns: repeat(${columns}, minmax(0, 1fr)); max-width: ${columns * 36}px`;
      return make("button", {
        type: "button", "data-stage": at, "aria-current": at === now.stage, click: () => toStage(at),
        "aria-label": `${name}: ${counted.map(([letter, many]) => count(many, LETTERS[letter])).join(", ")}`,
      }, make("b", {}, name), box("Q", `Q×${data.question.length}`),
      make("span", { class: "boxes", style: grid }, ...boxes),
      make("span", { class: "meta" }, counted.map(([letter, many]) => `${many} ${letter}`).join(" · ")));
    }));
    rowStops.refresh();
    if (focused) all.querySelector("[aria-current]").focus();
  }

  /** Make a cell for every token that any stage of the method has: stepping then only changes them. */
  function build() {
    const cell = (kind, text, n) => {
      const token = make("span", {}, isolated(shortened(text, 18)));
      return Object.assign(make("span", { role: "img", tabindex: -1 }, token, make("b")), { kind, n });
    };
    const texts = { B: "<bot>", E: "<eot>", T: "thought", P: "pause" };
    const latent = latentRuns(now.most).flatMap(([letter, many]) =>
      repeated(many, (n) => cell(letter, texts[letter] + ("TP".includes(letter) ? ` ${n + 1}` : ""), n)));
    const named = (letter, list) => list.map(([, text], n) => cell(letter, text, n));
    const parts = [
      ["Question", "masked", named("Q", data.question)],
      [now.stand_in === "P" ? "Pause tokens" : "Thoughts", "masked", latent],
      ["Language", "the loss sees it", [...named("S", data.steps), ...named("A", data.answer)]],
    ].filter(([, , found]) => found.length);
    cells = parts.flatMap(([, , found]) => found);
    bands.replaceChildren(...parts.map(([name, note, found]) => make("div", { class: "band" },
      make("p", {}, make("b", {}, name), make("span", { class: "meta" }, note)),
      make("div", { class: "cells" }, ...found))));
    const used = "Q" + now.rows.flatMap(runs).map(([letter]) => letter).join("");
    const keys = Object.keys(LETTERS).filter((one) => used.includes(one));
    legend.replaceChildren(...keys.map((one) => make("span", {}, box(one), ` ${LETTERS[one]}`)),
      make("span", {}, make("i", { class: "line" }), " has a label: the loss sees it"));
  }

  /** Bring the cells to this stage; gives how many tokens there are. */
  function drawCells() {
    let position = 0;
    for (const cell of cells) {
      const { kind, n } = cell, letter = kind === "S" && n < now.row.dropped ? "D" : kind;
      const off = kind === now.stand_in && n >= now.row.latent;
      const there = !off && letter !== "D", at = there ? position++ : null;
      const where = there ? `, position ${at}` : "", text = cell.firstChild.textContent;
      const label = { S: data.steps, A: data.answer }[kind]?.[n][0] ?? -100;
      set(cell, {
        class: off ? "cell off" : "cell", "data-letter": letter, "data-position": at, "aria-hidden": off,
        "data-label": there ? label : null,
        "aria-label": off ? null : `${text}, ${letter}: ${LETTERS[letter]}${where}`,
      });
      say(cell.lastChild, letter);
    }
    cellStops.refresh();
    return position;
  }

  function draw() {
    const fresh = read !== model.get("data");
    if (fresh) data = parsed(read = model.get("data"));
    if (!data.methods) return;
    now = settings();
    const { row, stand_in: standIn } = now, tokenwise = now.unit === "token";
    const key = `${now.name} ${now.most} ${now.last}`;
    if (fresh || built !== key) build();
    built = key;
    drawAll();
    const total = drawCells(), learned = data.steps.length - row.dropped + data.answer.length;
    const masked = total - learned;
    say(title, `${now.name}, ${tokenwise ? `${count(now.stage, "token")} removed` : `stage ${now.stage}`}`);
    const c = model.get("thoughts_per_step"), padded = model.get("pad_to_max");
    const more = standIn ? [`c = ${c}`, padded ? "padded to maximum" : "not padded"] : [];
    say(meta, [count(data.units.step[0], "step"), `max_stage ${now.last}`, ...more].join(" · "));
    say(inWords, now.in_words);
    methods.update(Object.keys(data.methods), now.name);
    stage.update(now.stage, now.last + 1, { named: tokenwise ? "Tokens removed" : "Stage" });
    last.update(now.last, data.units[now.unit][1]);
    each.update(c, 3, { disabled: !standIn });
    [pad.checked, pad.disabled] = [padded, !standIn];
    const left = learned === data.answer.length ? "only the answer"
      : row.dropped ? "what is left of the steps, the answer" : "every step, the answer";
    say(said, `${data.sentences[row.sentence].replace("#", now.stage)} The loss sees ${left} and the end of ` +
      `sequence: ${count(learned, "token")}.`);
    say(tokens, `What the model is trained on: ${count(total, "token")}`);
    const fed = standIn === "T" ? row.latent : 0, first = data.question.length + 1;
    figures(facts, [
      ["supervised", learned, "positions where the loss asks for a token"],
      ["masked", masked, "positions with label −100"],
      ["fed back", fed, "hidden states that go back in as thoughts"],
      ["passes", fed + 1, fed ? `n + 1 = ${fed} + 1` : "no thought, so one"],
    ]);
    const which = fed === 1 ? `the thought (position ${first})`
      : `the ${fed} thoughts (positions ${first} to ${first + fed - 1})`;
    const flows = fed ? ` Through ${which} it flows on into the hidden state that was fed back, and so into ` +
      "the pass before: back-propagation through time."
      : row.latent ? " A pause token has an embedding of its own; no hidden state is fed back." : "";
    say(gradient, "Masked is not frozen: no loss asks for these tokens, but later positions attend to them, " +
      `so all ${masked} masked positions get gradient.${flows}`);
    const stood = ` with ${count(row.asked, LETTERS[standIn || "T"])}`;
    const alone = !now.markers && !row.asked;
    say(asked, `What it is asked at inference: the prompt${alone ? ", the question alone" : stood}`);
    prompt.replaceChildren(box("Q", `the question, ${count(data.question.length, "token")}`),
      ...latentRuns(row.asked).flatMap(([letter, many]) => repeated(many, () => box(letter))),
      make("span", { class: "meta" }, "→ the model goes on from here"));
    point(root.querySelector(".cell:focus"));
  }

  /** Say what a token is, and light it with the position that it comes from or is predicted at. */
  function point(cell) {
    const { letter, position, label } = cell?.dataset ?? {}, before = position - 1;
    for (const one of cells) {
      one.classList.toggle("lit", one === cell);
      one.classList.toggle("from", "TSA".includes(letter ?? "-") && one.dataset.position === String(before));
    }
    if (!cell) return say(detail, HINT);
    const learned = `label ${label}: the loss asks for it at position ${before}, which predicts it.`;
    const meant = {
      D: "a dropped step. It is not in the input at this stage.",
      T: `no label. What goes in is the hidden state of position ${before}; gradient flows back through it.`,
      P: "no label. Its embedding goes in; no hidden state is fed back.",
      S: learned, A: learned,
    }[letter] ?? `${LETTERS[letter]}, label −100. Nothing is asked of it; later positions attend to it.`;
    say(detail, `${cell.firstChild.textContent}${position ? `, position ${position}` : ""}: ${meant}`);
  }
  for (const event of ["pointerover", "focusin"]) {
    bands.addEventListener(event, (one) => point(one.target.closest(".cell")));
  }
  bands.addEventListener("pointerleave", () => point());

  const end = follow(model, TRAITS, draw);
  draw();
  return end;
}

export default { render };
