"""Tiny random models of several architectures, and batches for them."""

import random
import types

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from coconut_lab.curriculum.stages_and_masks import Example
from coconut_lab.curriculum.tokenizer import add_thought_tokens, thought_tokens, word_tokenizer

NAMES = [f"w{index}" for index in range(20)]


def tokenizer():
    return word_tokenizer(NAMES)


CONFIGS = {
    "gpt2": lambda vocab: GPT2Config(
        vocab_size=vocab, n_embd=16, n_layer=2, n_head=2, n_positions=64,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.3,
        bos_token_id=None, eos_token_id=1,
    ),
    "llama": lambda vocab: LlamaConfig(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3, bos_token_id=None, eos_token_id=1, pad_token_id=0,
        tie_word_embeddings=True,
    ),
    "qwen": lambda vocab: Qwen3Config(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
        initializer_range=0.3, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    ),
    # Windows smaller than a row, so that the cache forgets what a window no longer sees.
    "gemma": lambda vocab: Gemma3TextConfig(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8,
        max_position_embeddings=64, sliding_window=6, initializer_range=0.3,
        layer_types=["sliding_attention", "full_attention"],
        bos_token_id=None, eos_token_id=1, pad_token_id=0,
    ),
    "mistral": lambda vocab: MistralConfig(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        sliding_window=6, initializer_range=0.3, bos_token_id=None, eos_token_id=1,
        pad_token_id=0, tie_word_embeddings=False,
    ),
}  # fmt: skip


def language_model(shape, seed=0, dtype=torch.float64):
    """A random model of a shape, in float64 unless told otherwise."""
    return exact(CONFIGS[shape](len(tokenizer())), seed, dtype)


def exact(config, seed=0, dtype=torch.float64):
    """A random model of a configuration, in float64 unless told otherwise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    if dtype == torch.float64:
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = types.MethodType(_exact_rms_norm, module)
    return model.to(dtype).eval()


def _exact_rms_norm(self, hidden):
    # The library's norm computes in float32 whatever it is given, which would hide differences
    # below 1e-7 and turn ones of 1e-16 into that much.
    eps = getattr(self, "variance_epsilon", None) or self.eps
    # Gemma's weights are offsets from 1.
    weight = 1 + self.weight if type(self).__name__.startswith("Gemma") else self.weight
    return weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + eps)


def example(rng, thoughts, *, steps=None, markers=True):
    """A random row: question, markers around `thoughts` placeholders, steps, answer."""
    tokens = thought_tokens(tokenizer())
    question = [rng.randrange(2, 26) for _ in range(rng.randrange(2, 9))]
    latent = [tokens.bot, *[tokens.thought] * thoughts, tokens.eot] if markers else []
    tail = [rng.randrange(2, 26) for _ in range(rng.randrange(1, 5) if steps is None else steps)]
    tail.append(1)
    masked = question + latent
    return Example(masked + tail, [-100] * len(masked) + tail)


def ragged(seed=0, counts=(3, 0, 1, 2)):
    """Rows with different numbers of thoughts; one of them has no markers at all."""
    rng = random.Random(seed)
    return [example(rng, count) for count in counts] + [example(rng, 0, markers=False)]


def bpe_tokenizer(thoughts=True):
    """A byte-level BPE tokenizer trained here on a few sentences, with an end of sequence."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    backend.decoder = ByteLevelDecoder()
    text = ["Every yumpus is a rempus. Tom is a lempus. Is Tom a lempus or scrompus?"] * 3
    backend.train_from_iterator(
        text, BpeTrainer(vocab_size=300, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    )
    made = PreTrainedTokenizerFast(tokenizer_object=backend)
    made.add_special_tokens({"eos_token": "<|endoftext|>"})
    if thoughts:
        add_thought_tokens(made)
    return made
