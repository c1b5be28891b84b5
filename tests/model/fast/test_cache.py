"""The cache that is written to in place, against the library's, which joins anew at every pass."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicLayer

from coconut_lab.model.fast.cache import (
    EXTRA_COLUMNS,
    PreallocatedLayer,
    preallocated_cache,
    take_memory,
)

ROWS, HEADS, WIDTH = 3, 2, 4

operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 6)),
        st.tuples(st.just("crop"), st.integers(0, 3)),
        st.tuples(st.just("select"), st.lists(st.integers(0, 2), min_size=3, max_size=3)),
        st.tuples(st.just("copy"), st.none()),
    ),
    max_size=8,
)


def columns(count: int, generator: torch.Generator, learns: bool = False) -> torch.Tensor:
    shape = (ROWS, HEADS, count, WIDTH)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=learns)


@given(operations, st.integers(1, 5), st.integers(0, 12))
def test_it_holds_what_the_library_s_own_holds(steps, first, room):
    generator = torch.Generator().manual_seed(0)
    ours, theirs = PreallocatedLayer(room), DynamicLayer()
    for kind, value in [("append", first), *steps]:
        if kind == "append":
            new = columns(value, generator), columns(value, generator)
            got, want = ours.update(*new), theirs.update(*new)
            assert torch.equal(got[0], want[0]) and torch.equal(got[1], want[1])
        elif kind == "crop" and value < theirs.get_seq_length():
            ours.crop(-value)
            theirs.crop(-value)
        elif kind == "select":
            for layer in (ours, theirs):
                layer.batch_select_indices(torch.tensor(value))
        elif kind == "copy":
            ours, theirs = copy.deepcopy(ours), copy.deepcopy(theirs)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert torch.equal(ours.keys, theirs.keys) and torch.equal(ours.values, theirs.values)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(0, 2), st.booleans())
def test_gradients_are_those_of_joining(sizes, cropped, roomy):
    """Every pass uses all columns so far, as attention does, and one of them loses some later."""
    generator = torch.Generator().manual_seed(1)
    parts = [columns(size, generator, learns=True) for size in sizes]
    weights = torch.randn(sum(sizes), generator=generator, dtype=torch.float64)

    def gradients(layer: DynamicLayer) -> tuple[torch.Tensor, ...]:
        total = torch.zeros((), dtype=torch.float64)
        for turn, part in enumerate(parts):
            keys, values = layer.update(part, 2 * part)
            # A product, so that the backward pass needs the columns as they were then.
            total = total + ((keys * values).sum((0, 1, 3)) * weights[: keys.shape[2]]).sum()
            if turn == len(parts) // 2 and cropped < keys.shape[2]:
                layer.crop(-cropped)
        return torch.autograd.grad(total, parts)

    for got, want in zip(
        gradients(PreallocatedLayer(sum(sizes) if roomy else 0)),
        gradients(DynamicLayer()),
        strict=True,
    ):
        assert torch.allclose(got, want)


def test_columns_that_a_backward_pass_needs_are_never_written_over():
    generator = torch.Generator().manual_seed(2)
    layer = PreallocatedLayer(8)
    layer.update(columns(2, generator), columns(2, generator))
    first = columns(1, generator, learns=True)
    keys, _ = layer.update(first, first)
    before = keys.detach().clone()
    layer.crop(-1)
    layer.update(columns(1, generator), columns(1, generator))
    assert torch.equal(keys, before)


def test_the_second_derivative_is_there_too():
    generator = torch.Generator().manual_seed(3)

    def cubes(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        layer = PreallocatedLayer(4)
        layer.update(first, first)
        return layer.update(second, second)[0].pow(3)

    parts = columns(2, generator, learns=True), columns(1, generator, learns=True)
    assert torch.autograd.gradcheck(cubes, parts)
    assert torch.autograd.gradgradcheck(cubes, parts)


@pytest.mark.parametrize("expected", [0, 10])
def test_passes_share_one_piece_of_memory(expected: int):
    generator = torch.Generator().manual_seed(4)
    layer = PreallocatedLayer(expected)
    layer.update(columns(5, generator), columns(5, generator))
    places = set()
    for _ in range(5):
        keys, _ = layer.update(columns(1, generator), columns(1, generator))
        places.add(keys.data_ptr())
    assert len(places) == 1 if expected else len(places) <= 2
    assert layer.memories[0].memory.shape[2] == (expected or 6 + 1 + EXTRA_COLUMNS)


def test_layers_that_forget_are_the_library_s_own():
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2}
    windows = preallocated_cache(MistralConfig(**sizes, sliding_window=4))
    kinds = [type(layer) for layer in windows.layers]
    assert kinds == [
        type(x) for x in DynamicCache(config=MistralConfig(**sizes, sliding_window=4)).layers
    ]
    assert PreallocatedLayer not in kinds
    assert [type(x) for x in preallocated_cache(LlamaConfig(**sizes)).layers] == [
        PreallocatedLayer
    ] * 2


def test_under_a_compiler_columns_are_joined(monkeypatch: pytest.MonkeyPatch):
    """Dynamo refuses the writing in place: `torch.compile` of a model has to get on without."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    generator = torch.Generator().manual_seed(5)
    ours, theirs = PreallocatedLayer(8), DynamicLayer()
    for count in (3, 1, 2):
        new = columns(count, generator), columns(count, generator)
        assert all(map(torch.equal, ours.update(*new), theirs.update(*new)))
    assert ours.memories[0].memory is None


@pytest.mark.parametrize(
    ("shape", "dtype", "again"),
    [
        ((2, 2, 6, 4), torch.float32, True),
        ((1, 2, 12, 4), torch.float32, True),
        ((2, 2, 7, 4), torch.float32, False),
        ((3, 2, 6, 4), torch.float32, False),
        ((2, 2, 6, 4), torch.float64, False),
    ],
)
def test_memory_is_used_again_where_it_fits(shape: tuple, dtype: torch.dtype, again: bool):
    old = torch.zeros(2, 2, 6, 4)
    new = take_memory(old, torch.zeros(1, dtype=dtype), shape)
    assert (new.shape, new.dtype) == (shape, dtype)
    assert (new.data_ptr() == old.data_ptr()) == again


def test_other_rows_get_memory_of_their_own():
    """What is selected is no longer all that was written: it must not be written over."""
    generator = torch.Generator().manual_seed(6)
    layer, whole = PreallocatedLayer(8), DynamicLayer()
    first, second = columns(3, generator), columns(1, generator)[:1]
    for one in (layer, whole):
        one.update(first, first)
        one.batch_select_indices(torch.tensor([0]))
    got, want = (one.update(second, second)[0] for one in (layer, whole))
    torch.testing.assert_close(got, want)
