// The tiny models in plain JavaScript: a small Llama whose last hidden state is its next input.
// With it a page needs no Python: `thinkAnew` makes the dictionary of `stepper/data.py`.
//
// n vectors of d numbers are one flat Float64Array, vector after vector. JavaScript calculates in
// float64, so numbers of another type would be converted at every step.

/** Read numbers from bytes: float16 where each has 2 of them, float32 where it has 4. */
function unpack(buffer, start, count, bytes) {
  if (bytes === 4) return Float64Array.from(new Float32Array(buffer, start, count));
  return Float64Array.from(new Uint16Array(buffer, start, count), (bits) => {
    const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
    return bits >> 15 ? -size : size;
  });
}

/** Multiply vectors x (n, columns) by a matrix (rows, columns): (n, rows). */
function multiply(x, { numbers, rows, columns }) {
  const product = new Float64Array((x.length / columns) * rows);
  // Four rows at a time, so that each number of x is fetched once for four products. The last four
  // overlap those before them where the rows are no multiple of four.
  for (let block = 0; block < rows; block += 4) {
    const row = Math.min(block, rows - 4);
    const first = row * columns, second = first + columns, third = second + columns;
    const fourth = third + columns;
    for (let start = 0, to = row; start < x.length; start += columns, to += rows) {
      let p = 0, q = 0, r = 0, s = 0;
      for (let i = 0; i < columns; i++) {
        const value = x[start + i];
        p += value * numbers[first + i];
        q += value * numbers[second + i];
        r += value * numbers[third + i];
        s += value * numbers[fourth + i];
      }
      product[to] = p;
      product[to + 1] = q;
      product[to + 2] = r;
      product[to + 3] = s;
    }
  }
  return product;
}

/** RMSNorm of vectors x (n, d). */
function normalize(x, { numbers, columns }, eps) {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0;
    for (let i = start; i < start + columns; i++) squares += x[i] * x[i];
    const scale = 1 / Math.sqrt(squares / columns + eps);
    for (let i = 0; i < columns; i++) y[start + i] = x[start + i] * scale * numbers[i];
  }
  return y;
}

/** Turn the first n numbers of x into probabilities, in place. */
function softmax(x, n = x.length) {
  let highest = -Infinity, sum = 0;
  for (let i = 0; i < n; i++) if (x[i] > highest) highest = x[i];
  for (let i = 0; i < n; i++) sum += x[i] = Math.exp(x[i] - highest);
  for (let i = 0; i < n; i++) x[i] /= sum;
  return x;
}

const add = (x, y) => x.map((value, i) => value + y[i]);

/** A shipped model, as `export_model` of tools/make_site.py writes it. */
export class TinyModel {
  constructor({ shape, words, tensors, weights, pauses, card }) {
    Object.assign(this, { shape, words, pauses, card });
    this.ids = new Map(words.map((word, id) => [word, id]));
    const { buffer } = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    let start = 0;
    this.tensors = Object.fromEntries(tensors.map(([name, rows, columns, bytes]) => {
      const numbers = unpack(buffer, start, rows * columns, bytes);
      start += rows * columns * bytes;
      return [name, { numbers, rows, columns }];
    }));
    const half = shape.head_dim / 2, size = shape.positions * half;
    const angle = (_, i) => Math.floor(i / half) * shape.theta ** (-(i % half) / half);
    const angles = Float64Array.from({ length: size }, angle);
    [this.cos, this.sin] = [angles.map(Math.cos), angles.map(Math.sin)];
  }

  /** Make an empty cache of keys and values. A lower `length` makes it forget its last places. */
  newCache() {
    const { layers, positions, heads, head_dim } = this.shape;
    const room = () => new Float64Array(positions * heads * head_dim);
    return { length: 0, layers: Array.from({ length: layers }, () => [room(), room()]) };
  }

  /** Look up the input embeddings of words: (n, d). */
  embed(words) {
    const { numbers, columns } = this.tensors.embed;
    const x = new Float64Array(words.length * columns);
    words.forEach((word, i) => {
      const start = this.ids.get(word) * columns;
      x.set(numbers.subarray(start, start + columns), i * columns);
    });
    return x;
  }

  /** Decode a hidden state (d) through the language-model head: the probability of each word. */
  decode(hidden) {
    return softmax(multiply(hidden, this.tensors.embed));
  }

  /**
   * Read inputs x (n, d) after what the cache holds, and add them to it.
   * Gives the last vector after each layer (d), normalized; that of the last is the hidden state.
   */
  read(x, cache) {
    const { width, eps } = this.shape, place = cache.length, count = x.length / width;
    const states = [];
    cache.layers.forEach(([keys, values], layer) => {
      const part = (name) => this.tensors[`${layer}.${name}`];
      let input = normalize(x, part("before_attention"), eps);
      const size = part("k").rows;
      keys.set(this.rotate(multiply(input, part("k")), place), place * size);
      values.set(multiply(input, part("v")), place * size);
      let from = place;
      if (layer === cache.layers.length - 1) {
        // Nothing but the last vector is read after the last layer.
        from += count - 1;
        x = x.slice(-width);
        input = input.subarray(-width);
      }
      const queries = this.rotate(multiply(input, part("q")), from);
      x = add(x, multiply(this.attend(queries, keys, values, from), part("o")));
      input = normalize(x, part("before_mlp"), eps);
      const up = multiply(input, part("up")), gate = multiply(input, part("gate"));
      const gated = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]); // SiLU
      x = add(x, multiply(gated, part("down")));
      states.push(normalize(x.subarray(-width), this.tensors.norm, eps));
    });
    cache.length += count;
    return states;
  }

  /** Turn queries or keys (n, heads · head_dim) by their places, from `place` on; in place. */
  rotate(x, place) {
    const { heads, head_dim } = this.shape, half = head_dim / 2;
    for (let start = 0, n = 0; start < x.length; start += head_dim, n++) {
      const angles = (place + Math.floor(n / heads)) * half;
      for (let i = 0; i < half; i++) {
        const a = x[start + i], b = x[start + half + i];
        const cos = this.cos[angles + i], sin = this.sin[angles + i];
        x[start + i] = a * cos - b * sin;
        x[start + half + i] = b * cos + a * sin;
      }
    }
    return x;
  }

  /** Let queries (n, heads · head_dim), the first at `place`, look at themselves and back. */
  attend(queries, keys, values, place) {
    const { heads, head_dim, positions } = this.shape, size = heads * head_dim;
    const mixed = new Float64Array(queries.length), scores = new Float64Array(positions);
    for (let start = 0; start < queries.length; start += head_dim) {
      const seen = place + Math.floor(start / size) + 1, head = start % size;
      for (let t = 0, at = head; t < seen; t++, at += size) {
        let dot = 0;
        for (let i = 0; i < head_dim; i++) dot += queries[start + i] * keys[at + i];
        scores[t] = dot / Math.sqrt(head_dim);
      }
      softmax(scores, seen);
      for (let t = 0, at = head; t < seen; t++, at += size) {
        for (let i = 0; i < head_dim; i++) mixed[start + i] += scores[t] * values[at + i];
      }
    }
    return mixed;
  }

  /**
   * Think n thoughts after a prompt (words up to <bot>): thought k is the vector fed back k-th.
   * `edit(k, hidden)` gives what is fed back instead of a hidden state, as in Python. Of a model
   * of pauses the same vectors are read, but what it reads itself is a pause.
   * Gives the states of each thought, as `read` does, and the cache.
   */
  think(prompt, n, edit = (k, hidden) => hidden) {
    const cache = this.newCache(), thoughts = [];
    let states = this.read(this.embed(prompt), cache);
    for (let k = 1; k <= n; k++) {
      const thought = edit(k, states.at(-1));
      thoughts.push([...states.slice(0, -1), thought]);
      states = this.read(this.pauses ? this.embed(["<pause>"]) : thought, cache);
    }
    return { thoughts, cache };
  }

  /** Mix the embeddings of words evenly, as long as the vector they replace: Python's write_words. */
  write(words, like) {
    const sum = words.map((word) => this.embed([word])).reduce(add);
    const scale = Math.hypot(...like) / Math.hypot(...sum);
    return sum.map((value) => value * scale);
  }
}

const MOST_WORDS = 3, LEAST_SHARE = 0.005; // as in stepper/reading.py
const rounded = (p) => Math.round(p * 1e6) / 1e6;

/** Count the hops from one node to each: null where no edge leads. */
function hopsFrom(start, edges, count) {
  const hops = Array(count).fill(null), reached = [start];
  hops[start] = 0;
  for (const at of reached) {
    for (const [parent, child] of edges) {
      if (parent === at && hops[child] === null) {
        hops[child] = hops[at] + 1;
        reached.push(child);
      }
    }
  }
  return hops;
}

/** Say what facts (pairs of nodes) lead to from a node: the part of `data` that needs no model. */
function followFacts(asked, facts, options, count) {
  const distances = hopsFrom(asked, facts, count);
  const reached = options.filter((node) => distances[node] !== null);
  const target = reached.length === 1 ? reached[0] : null;
  const back = target === null ? [] : hopsFrom(target, facts.map(([a, b]) => [b, a]), count);
  const path = back.flatMap((left, node) => {
    const hops = distances[node];
    return hops !== null && left !== null && hops + left === distances[target] ? [node] : [];
  });
  return { target, distances, on_path: path };
}

/** Let a model think about a question: `reading` of `data`, for the names of `seen`. */
function readThoughts(model, question, seen, { thoughts: n, through, written }) {
  const { names, options, facts, asked } = question;
  const name = (node) => names[node], id = (word) => model.ids.get(word);
  const stated = facts.flatMap((fact) => ["|", ...fact.map(name)]);
  const prompt = [...stated, "[Q]", ...options.map(name), "[R]", name(asked), "<bot>"];
  const edit = (k, hidden) =>
    written?.[k]?.length ? model.write(written[k].map(name), hidden) : hidden;
  const { thoughts, cache } = model.think(prompt, n, edit);
  const answers = [], afterEot = [];
  // One cache for all: from the longest thinking down, what comes later is written over.
  for (let k = n; k >= 0; k--) {
    cache.length = prompt.length + k;
    afterEot.unshift(model.read(model.embed(["<eot>"]), cache).at(-1));
    const next = model.decode(model.read(model.embed(["###"]), cache).at(-1));
    answers.unshift(seen.options.map((node) => rounded(next[id(seen.names[node])])));
  }
  const layer = through === "head" ? -1 : through - 1;
  const vectors = through === "<eot>" ? afterEot : thoughts.map((states) => states.at(layer));
  const first = through === "<eot>" ? 0 : 1;
  const read = (vector, i) => {
    const table = model.decode(vector);
    const nodes = seen.names.map((word) => rounded(table[id(word)]));
    const words = model.words.map((word, i) => [word, rounded(table[i])])
      .filter(([word, share]) => share >= LEAST_SHARE && !seen.names.includes(word))
      .sort((a, b) => b[1] - a[1]).slice(0, MOST_WORDS);
    return { number: first + i, hop: i + 1, nodes, words };
  };
  return { through, thoughts: vectors.map(read), answers };
}

/**
 * Let a model think about a problem anew, with facts taken away or another node asked about.
 *
 * `problem` is the dictionary of the original, as Python made it; a new one is returned. Of a
 * `wish`, `removed` are numbers of facts, `asked` is a node, `thoughts` how many, `through` what
 * they are read through, `written[k]` the nodes of which thought k is written by hand. `control`
 * has `name`, `in_words`, the `model` to show beside, and perhaps another `problem` to think about.
 */
export function thinkAnew(problem, model, wish = {}) {
  const { removed = [], asked = problem.asked, control, written } = wish;
  const { thoughts = model.card.trained, through = "head" } = wish;
  const facts = problem.facts.filter((_, number) => !removed.includes(number));
  const question = { ...problem, facts, asked };
  const beside = control && {
    name: control.name,
    in_words: control.in_words,
    reading: readThoughts(
      control.model, control.problem ?? question, question, { thoughts, through },
    ),
  };
  return {
    ...problem,
    ...followFacts(asked, facts, problem.options, problem.names.length),
    removed,
    asked,
    reading: readThoughts(model, question, question, { thoughts, through, written }),
    control: beside ?? null,
    card: model.card,
  };
}
