import { count, digits, follow, frame, make, say, set, setting, shortened } from "../browser/shared.js";

// The training monitor. Its traits and its data: widget.py and data.py. While a run goes on, new
// data comes after each few steps; looking back over its steps is drawn here, without the kernel.

const LEFT = 52, RIGHT = 632; // of the curves: the loss, and below it the rate
const LOSS = { y: 24, height: 190 }, RATES = { y: 228, height: 34 }, FLOOR = RATES.y + RATES.height;
const LEAST = 1e-9; // of a loss, for the logarithm
const MOST_SCORES = 8; // the latest validations are shown
const HINT = "A cell waits for this run: to stop it, interrupt the kernel (■ in the toolbar).";
const [DONE, MEAN, LOW, HIGH, RATE, SECONDS] = [0, 1, 2, 3, 4, 5]; // of a point

function render({ model, el }) {
  const root = frame(el, "monitor", "Training monitor"), change = setting(model);
  const title = make("h3"), status = make("p", { class: "status", role: "status" });
  const bar = make("progress", { "aria-label": "Training" }), pace = make("p", { class: "pace meta" });
  const stop = make("button", { type: "button", title: "End after this step, with a checkpoint",
    click: () => change({ asked_to_stop: true }) }, "Stop");
  const hint = make("p", { class: "meta" }, HINT);
  const slider = make("input", { type: "range", min: 0, "aria-label": "Up to step", input: () => {
    const { points } = model.get("data"), at = Number(slider.value);
    change({ upto: at === points.length - 1 ? null : points[at][DONE] });
  } });
  const looking = make("label", { class: "field" }, make("span", {}, "Up to step"), slider);
  const stage = make("p", { class: "said" }), picture = make("div", { class: "picture" });
  const plan = make("table", { class: "plan" }), scores = make("table", { class: "scores" });
  const lossHeading = make("h4"), scoreHeading = make("h4"), cut = make("p", { class: "meta" });
  root.append(
    make("header", {}, title, status), bar,
    make("div", { class: "flow" }, pace, stop, hint, looking), stage,
    make("div", { class: "views" },
      make("div", {}, lossHeading, picture),
      make("div", {}, make("h4", {}, "The plan, in steps"), plan, scoreHeading, scores, cut)),
  );

  function draw() {
    const data = model.get("data");
    if (!data.name) return;
    const upto = model.get("upto") ?? data.done, all = data.points.filter((one) => one[DONE] <= upto);
    const done = Math.min(upto, data.done), running = ["running", "stopping"].includes(data.status);
    const band = bandAt(data, done);
    set(root, { "data-status": data.status, "data-step": done });
    say(title, data.name);
    set(status, { role: data.status === "failed" ? "alert" : "status" });
    say(status, inWords(data, done));
    set(bar, { max: data.total, value: done });
    const losses = all.filter((one) => one[MEAN] !== null), seconds = all.at(-1)?.[SECONDS];
    const left = data.left === null ? "time left not known yet"
      : `about ${clock(data.left)} left at this pace`;
    say(pace, [`step ${number(done)} of ${number(data.total)}`,
      all.length && `${clock(seconds)} ${running ? "so far" : "of training"}`,
      running && left,
      losses.length && `loss ${losses.at(-1)[MEAN].toPrecision(3)}`].filter(Boolean).join(" · "));
    stop.hidden = data.status === "log";
    stop.disabled = data.waits || data.status !== "running";
    hint.hidden = !data.waits || data.status !== "running";
    looking.hidden = running || data.points.length < 2;
    set(slider, { max: data.points.length - 1, "aria-valuetext": number(done) });
    slider.value = all.length - 1;
    stage.replaceChildren(make("b", {}, band.letter), " · ",
      data.base ? "A base model: next-token prediction on random walks, no stages." : band.in_words);
    const bins = `; line: mean of ${count(data.bin, "step")}, band: least to largest`;
    say(lossHeading, `Loss on a log scale${data.points.some((one) => one[LOW] < one[HIGH]) ? bins : ""}`);
    picture.replaceChildren(curves(data, all, losses, band));
    drawPlan(data, done, band);
    drawScores(data, done);
  }

  function drawPlan(data, done, band) {
    plan.replaceChildren(make("tbody", {}, ...data.bands.map((one) => {
      const now = one === band && data.status !== "done";
      const sign = now ? "▸" : done >= one.end ? "✓" : "";
      return make("tr", { class: "phase", "aria-current": now ? "step" : null }, make("td", {}, sign),
        make("th", { scope: "row", class: `tint${one.stage % 7}` }, one.letter),
        make("td", {}, data.base ? "" : `stage ${one.stage}`), make("td", {}, one.in_short),
        make("td", { class: "number" }, number(one.end - one.start)));
    })));
  }

  function drawScores(data, done) {
    const rows = data.scores.filter((one) => one.step <= done).slice(-MOST_SCORES);
    const keys = [...new Set(rows.flatMap((one) => Object.keys(one.accuracy)))].sort((a, b) => a - b);
    const factor = data.factor > 1 ? ` (times c = ${data.factor})` : "";
    say(scoreHeading, `Accuracy per number of thoughts${factor}`);
    const over = ["log", "done"].includes(data.status);
    const none = data.base ? "A base model has none." : over ? "The log holds no validation." : "None yet.";
    say(cut, rows.length === 0 ? none : rows.some((one) => Object.keys(one.cut_off).length)
      ? "✂ answers that did not end within the limit of new tokens; they count as wrong." : "");
    scores.replaceChildren(...(rows.length === 0 ? [] : [
      make("thead", {}, make("tr", {}, make("td"), ...keys.map((key) => make("th", { scope: "col" }, key)))),
      make("tbody", {}, ...rows.map((one) => {
        const cells = keys.map((key) => {
          const share = one.accuracy[key], lost = one.cut_off[key];
          if (share === undefined) return make("td");
          return make("td", { class: "score", "data-thoughts": key, "data-step": one.step, "--p": share },
            digits(share), lost ? make("small", { title: `${lost} cut off` }, ` ✂${lost}`) : null);
        });
        const when = `${bandAt(data, one.step).letter} · step ${number(one.step)}`;
        return make("tr", {}, make("th", { scope: "row" }, when), ...cells);
      })),
    ]));
  }

  const end = follow(model, ["data", "upto"], draw);
  draw();
  return end;
}

/** The phase of the step that was done last; the last one for steps past the end. */
const bandAt = (data, done) => data.bands.find((one) => done <= one.end) ?? data.bands.at(-1);

const number = (value) => value.toLocaleString("en");

/** Write a duration: 0:07, 12:30, 1:02:05. */
function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds)), two = (value) => String(value % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${two(minutes)}:${two(whole)}` : `${minutes}:${two(whole)}`;
}

/** Say in a few words what the run is doing. */
function inWords({ status, message, done: all }, done) {
  const at = `step ${number(done)}`;
  return {
    ready: all ? `not started again; the log ends at ${at}` : "not started",
    running: "running", stopping: "stopping after this step",
    done: done < all ? `as it was at ${at}` : "done",
    stopped: `stopped at ${at}; run again to go on`, log: `from the log, up to ${at}`,
    failed: `failed after ${at}: ${shortened(message, 600)}`,
  }[status];
}

/** Draw the loss and, below it, the learning rate over the lettered phases of the plan. */
function curves(data, points, losses, now) {
  const [low, high, ticks] = logScale(losses.flatMap((one) => [one[LOW], one[HIGH]]));
  const bottom = LOSS.y + LOSS.height;
  const across = (step) => LEFT + (RIGHT - LEFT) * Math.min(1, step / data.total);
  const up = (loss) => bottom - LOSS.height * Math.log(Math.max(loss, LEAST) / low) / Math.log(high / low);
  const line = (places) => `M${places.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
  const over = (pick) => losses.map((one) => [across(one[DONE]), up(one[pick])]);
  const text = (x, y, content, anchor = "middle", more = {}) =>
    make("text", { x, y, "text-anchor": anchor, ...more }, content);
  const parts = data.bands.flatMap((band) => {
    const x = across(band.start), width = across(band.end) - x, whole = !data.base && width > 84;
    const name = whole ? `${band.letter} · stage ${band.stage}` : band.letter;
    return make("g", { class: `band tint${band.stage % 7}`, "data-letter": band.letter },
      make("rect", { x, width, ...LOSS }), make("rect", { x, width, ...RATES }),
      text(x + width / 2, LOSS.y - 8, name, "middle", { class: band === now ? "now" : null }));
  });
  for (const tick of ticks) {
    const y = up(tick), d = line([[LEFT, y], [RIGHT, y]]);
    parts.push(make("path", { class: "grid", d }), text(LEFT - 7, y + 4, tick, "end"));
  }
  let said = "no step yet";
  if (losses.length) {
    const [cx, cy] = over(MEAN).at(-1), spread = line([...over(HIGH), ...over(LOW).reverse()]);
    said = `loss ${losses.at(-1)[MEAN].toPrecision(3)} at step ${number(losses.at(-1)[DONE])}`;
    parts.push(make("path", { class: "spread", d: `${spread}Z` }),
      make("path", { class: "loss", d: line(over(MEAN)) }), make("circle", { class: "at", cx, cy, r: 4.5 }));
  } else parts.push(text((LEFT + RIGHT) / 2, LOSS.y + LOSS.height / 2, said));
  const rates = points.filter((one) => one[RATE] !== null);
  const largest = Math.max(0, ...rates.map((one) => one[RATE]));
  if (largest) {
    const top = rates.map((one) => [across(one[DONE]), FLOOR - (RATES.height - 3) * one[RATE] / largest]);
    const area = line([[top[0][0], FLOOR], ...top, [top.at(-1)[0], FLOOR]]);
    parts.push(make("path", { class: "rate", d: `${area}Z` }),
      text(LEFT - 7, RATES.y + 28, largest.toPrecision(2), "end"));
  }
  parts.push(text(LEFT - 7, RATES.y + 12, "rate", "end"), text(LEFT, FLOOR + 17, "0", "start"),
    text((LEFT + RIGHT) / 2, FLOOR + 17, "steps"), text(RIGHT, FLOOR + 17, number(data.total), "end"));
  const look = { viewBox: `0 0 640 ${FLOOR + 22}`, role: "img" };
  return make("svg", { ...look, "aria-label": `Loss and learning rate. ${said}` }, ...parts);
}

/** Choose the ends and the ticks of a logarithmic axis. */
function logScale(values) {
  let low = Math.max(LEAST, Math.min(...values)) / 1.15, high = Math.max(LEAST, ...values) * 1.15;
  if (!values.length) [low, high] = [0.1, 10];
  const middle = Math.sqrt(low * high);
  if (high / low < 2) [low, high] = [middle / 1.5, middle * 1.5];
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high)), ticks = [];
  for (let e = first; e <= last; e++) {
    for (const s of last - first <= 3 ? [1, 2, 5] : [1]) ticks.push(Number(`${s}e${e}`));
  }
  const inside = ticks.filter((tick) => low <= tick && tick <= high);
  const by = Math.max(1, Math.ceil(inside.length / 8));
  return [low, high, inside.filter((_, place) => place % by === 0)];
}

export default { render };
