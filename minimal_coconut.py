"""Coconut in one file: a language model that thinks in its hidden states (arXiv 2412.06769).

`python minimal_coconut.py` makes problems, trains a small Llama on them from scratch, and prints
how many unseen problems it solves with 0 to 3 thoughts. It takes about four minutes on one core.

    facts       | b f | c a | f d | a e …       "f lies below b, a lies below c, …"
    question    [Q] e d [R] b                   "Which lies below b: e or d?"
    stage 0     <bot> <eot> f d ### d           every step is written
    stage 1     <bot> <thought> <eot> d ### d   the first step has become a thought
    stage 3     <bot> <thought> <thought> <thought> <eot> ### d
"""

import argparse
import random
from itertools import count, pairwise

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

NODES = 10
VOCABULARY = [*"abcdefghij", *"| [Q] [R] <bot> <thought> <eot> ### <end> <pad>".split()]
FACT, ASK, ROOT, BOT, THOUGHT, EOT, ANSWER, END, PAD = range(NODES, len(VOCABULARY))
IGNORED = -100  # the label of a token that the loss leaves out
LAST = 3  # the last stage; also its number of thoughts, and the largest number of hops
# (stage, optimizer steps, whether one row in five takes a random stage instead: stage mixing)
CURRICULUM = [(0, 50, True), (1, 150, True), (2, 150, True), (3, 200, True), (3, 400, False)]
CONFIG = LlamaConfig(  # at the library's own initializer range, 0.02, it learns too slowly
    vocab_size=len(VOCABULARY), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=4, head_dim=32, initializer_range=0.1, tie_word_embeddings=True,
)  # fmt: skip


# --- Problems: which of two leaves lies below the root? (ProsQA, in symbols) ---------------------
def make_problem(rng):
    """Draw a problem in token ids: facts, question, steps. A node's name is one token.

    Even nodes lie below node 0, odd ones below node 1, in layers. Each half has an option in its
    last layer, and a coin decides which root is asked about. So a guess that ignores the root is
    right half of the time, whatever else it looks at.
    """
    hops = rng.randint(1, LAST)
    layer = [n // 2 if n // 2 <= hops else rng.randint(1, hops) for n in range(NODES)]
    # Each problem has its own names: nothing can be learned about a name, only about facts.
    name = rng.sample(range(NODES), NODES)
    edges = []
    for node in range(2, NODES):
        above = [n for n in range(node % 2, NODES, 2) if layer[n] == layer[node] - 1]
        parent = node - 2 if node // 2 <= hops else rng.choice(above)
        edges += [(name[n], name[node]) for n in {parent, rng.choice(above)}]
    rng.shuffle(edges)
    facts = [token for edge in edges for token in (FACT, *edge)]
    options, root = rng.sample([name[2 * hops], name[2 * hops + 1]], 2), rng.randrange(2)
    steps = [name[n] for n in range(root + 2, 2 * hops + 2, 2)]
    return facts, [ASK, *options, ROOT, name[root]], steps


# --- Rows: a prompt, the text after it, and the labels of that text (section 3, training) --------
def stage_row(problem, stage):
    """At stage k, k thoughts replace the first k steps; the loss is on what is still written."""
    facts, question, steps = problem
    text = [*steps[stage:], ANSWER, steps[-1], END]
    return [*facts, *question, BOT, *[THOUGHT] * stage, EOT], text, text


def walks_row(problem, rng):
    """For the base model: random walks such as `[R] start <bot> next next <eot> next`.

    Each marker comes and goes by itself, so that the hidden state at <bot> learns to predict a next
    node, as any position of a pre-trained model does. Otherwise the first thought would be noise.
    """
    facts, _, _ = problem
    below = {}
    for above, node in zip(facts[1::3], facts[2::3], strict=True):
        below.setdefault(above, []).append(node)
    text = []
    for _ in range(8):
        node = rng.choice(list(below))
        text += [ROOT, node, BOT] if rng.random() < 0.6 else [ROOT, node]
        while node in below:
            node = rng.choice(below[node])
            text += [node, EOT] if rng.random() < 0.3 else [node]
    # The loss is on the nodes walked to: not on markers, and not on the start, which is random.
    learned = [before != ROOT and token < NODES for before, token in pairwise([PAD, *text])]
    return facts, text, [t if yes else IGNORED for t, yes in zip(text, learned, strict=True)]


def collate(rows):
    """Make a batch, padded so that all prompts end in one column, and thoughts share columns."""
    left = max(len(prompt) for prompt, _, _ in rows)
    ids = [torch.tensor([PAD] * (left - len(prompt)) + prompt + text) for prompt, text, _ in rows]
    labels = [torch.tensor([IGNORED] * left + labels) for _, _, labels in rows]
    input_ids = pad_sequence(ids, batch_first=True, padding_value=PAD)  # (B, T)
    return input_ids, (input_ids != PAD).long(), pad_sequence(labels, True, IGNORED)


# --- The method: hidden states in the place of embeddings (section 3) ----------------------------
def think_without_cache(model, token_ids, thought_id=THOUGHT):
    """Put the thoughts of one row in their places, E = [e(x_1) … e(x_i), h_i … h_{j-1}, e(x_j) …].

    This is the definition: the input at a placeholder is the last hidden state, after the final
    norm, of the position before it. Each takes a pass over all that comes before. Returns (T, d).
    """
    inputs = list(model.get_input_embeddings()(torch.tensor(token_ids)))  # T times (d,)
    for place, token in enumerate(token_ids):
        if token == thought_id:
            before = torch.stack(inputs[:place])[None]  # (1, place, d)
            output = model(inputs_embeds=before, use_cache=False, output_hidden_states=True)
            inputs[place] = output.hidden_states[-1][0, -1]  # (d,)
    return torch.stack(inputs)


def latent_forward(model, input_ids, attention_mask, thought_id=THOUGHT):
    """Do the same for a batch, in n + 1 passes for n thoughts, each over new columns only.

    A thought needs the one before it, so passes are sequential; a cache of keys and values spares
    computing earlier columns again. Gradients flow back through both: no thought has a label, but
    what comes after attends to it. Returns logits (B, T, V), thoughts (a list of (B, d)), cache.
    """
    cache = DynamicCache(config=model.config)
    inputs = list(model.get_input_embeddings()(input_ids).unbind(1))  # T times (B, d)
    position_ids = (attention_mask.cumsum(1) - 1).clamp(min=0)  # (B, T), padding not counted
    is_thought = input_ids == thought_id  # (B, T)
    columns = is_thought.any(0).nonzero().flatten().tolist()  # where some row has a thought
    logits, thoughts = [], []
    for start, end in pairwise([0, *columns, len(inputs)]):
        output = model(
            inputs_embeds=torch.stack(inputs[start:end], dim=1),  # (B, t, d)
            attention_mask=attention_mask[:, :end],
            position_ids=position_ids[:, start:end],
            past_key_values=cache,
            output_hidden_states=True,
        )
        logits.append(output.logits)  # (B, t, V)
        if end < len(inputs):
            thoughts.append(output.hidden_states[-1][:, -1])  # (B, d); other rows keep their tokens
            inputs[end] = torch.where(is_thought[:, end, None], thoughts[-1], inputs[end])
    return torch.cat(logits, dim=1), thoughts, cache


def loss_of(model, input_ids, attention_mask, labels, thought_id=THOUGHT):
    """Mean negative log-likelihood of the labelled tokens; each position predicts the next one."""
    logits, _, _ = latent_forward(model, input_ids, attention_mask, thought_id)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


@torch.no_grad()
def generate(model, input_ids, attention_mask, max_new_tokens, thought_id=THOUGHT):
    """Think where the prompts have placeholders, then write greedily: new token ids (B, new)."""
    logits, _, cache = latent_forward(model, input_ids, attention_mask, thought_id)
    new = []
    for _ in range(max_new_tokens):
        new.append(logits[:, -1:].argmax(-1))  # (B, 1)
        mask = attention_mask = F.pad(attention_mask, (0, 1), value=1)  # (B, T + 1)
        places = mask.sum(1, keepdim=True) - 1  # (B, 1)
        logits = model(new[-1], mask, position_ids=places, past_key_values=cache).logits
    return torch.cat(new, dim=1)


# --- Training: a base model, then the curriculum; and what it is worth ---------------------------
def train(model, rows, steps, title, batch_size=64, rate=3e-3):
    """Train on fresh rows with a new optimizer per stage, as the paper does; the rate ends at 0."""
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / 50, 1, 2 - 2 * step / steps)
        loss = loss_of(model, *collate([next(rows) for _ in range(batch_size)]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(f"\r{title}: step {step + 1} of {steps}, loss {loss:.3f} ", end="", flush=True)
    print()


def accuracy(model, problems, thoughts):
    """Share of the problems whose answer is right after this many thoughts."""
    prompts = collate([(stage_row(problem, thoughts)[0], [], []) for problem in problems])
    right = 0
    for (_, _, steps), new in zip(problems, generate(model, *prompts[:2], LAST + 3), strict=True):
        text = " ".join(VOCABULARY[token] for token in new).split("<end>")[0]
        right += text.endswith(f"### {VOCABULARY[steps[-1]]} ")
    return right / len(problems)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train Coconut from scratch, and score it.")
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = LlamaForCausalLM(CONFIG)
    train(model, (walks_row(make_problem(rng), rng) for _ in count()), 600, "base model")
    for stage, steps, mixed in CURRICULUM:
        stages = [stage] * 16 + [0, 1, 2, 3] if mixed else [stage]
        rows = (stage_row(make_problem(rng), rng.choice(stages)) for _ in count())
        train(model, rows, steps, f"stage {stage}")
    unseen = [make_problem(rng) for _ in range(1000)]
    for thoughts in range(LAST + 1):
        print(f"thoughts: {thoughts}, accuracy: {accuracy(model, unseen, thoughts):.1%}")
