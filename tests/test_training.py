"""Training: schedules, resets, and runs that go on as if they had never been stopped."""

import dataclasses
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from coconut_lab.batches import Batches, encode_walks
from coconut_lab.coconut import Coconut
from coconut_lab.curriculum import IGNORED, METHODS, Curriculum, tokenize
from coconut_lab.models import add_pause, new_model
from coconut_lab.problems import write_json
from coconut_lab.prosqa import PRESETS, generate_prosqa
from coconut_lab.recipe import FOLDER, Phase, Recipe, RecipeError, WalksPart, load_recipe
from coconut_lab.schedule import moments
from coconut_lab.tokenizer import PAUSE, pause_token, token_id, word_tokenizer
from coconut_lab.training import Trainer, TrainingError, main

SMALL = """
name: trial
seed: 3
batch_size: 8
problems: {preset: tiny, count: 40, seed: 1}
model: {layers: 1, heads: 2, width: 16, feed_forward: 16, positions: 96}
curriculum: {method: coconut, max_stage: 2, mix_probability: 0.3}
phases:
  - {stage: 0, steps: 3}
  - {stage: 1, steps: 3}
  - {stage: 3, steps: 3, mix_probability: 0.0}
optimizer: {lr: 1e-2, warmup_steps: 2}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(SMALL)
    return load_recipe(path)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(folder):
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]


def log_lines(folder):
    path = folder / "log.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def trainer(recipe, folder, **options):
    return Trainer(recipe, folder, progress=False, **options)


def test_schedule_and_resets(recipe, tmp_path):
    entries = []
    problems = generate_prosqa(10, seed=9)
    run = trainer(recipe, tmp_path / "run", validation=problems)
    run.train(entries.append)
    assert [entry["stage"] for entry in entries] == [0] * 3 + [1] * 3 + [3] * 3
    # Two warm-up steps after each reset, which comes with each new stage.
    assert [entry["lr"] for entry in entries] == pytest.approx([0.005, 0.01, 0.01] * 3)
    scored = [entry for entry in entries if "accuracy" in entry]
    assert [entry["step"] for entry in scored] == [2, 5, 8]
    assert all(list(entry["accuracy"]) == ["0", "1", "2"] for entry in scored)
    assert len(log(tmp_path / "run")) == 9


def test_without_resets_the_state_lives_on(recipe, tmp_path):
    part = dataclasses.replace(recipe.optimizer, reset="never")
    entries = []
    run = trainer(dataclasses.replace(recipe, optimizer=part), tmp_path / "run")
    run.train(entries.append)
    assert [entry["lr"] for entry in entries] == pytest.approx([0.005] + [0.01] * 8)
    state = run._optimizer.optimizer.state_dict()["state"]
    assert {float(value["step"]) for value in state.values()} == {9.0}


def test_the_same_recipe_gives_the_same_weights_and_leaves_the_generators(recipe, tmp_path):
    torch.manual_seed(1)
    random.seed(1)
    before = torch.random.get_rng_state(), random.getstate()
    first = weights(trainer(recipe, tmp_path / "a").train())
    assert torch.equal(torch.random.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert same(first, weights(trainer(recipe, tmp_path / "b").train()))
    other = dataclasses.replace(recipe, seed=4)
    assert not same(first, weights(trainer(other, tmp_path / "c").train()))


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_a_stopped_run_goes_on_bit_for_bit(recipe, tmp_path, stop):
    want = weights(trainer(recipe, tmp_path / "whole").train())

    class Stop(Exception):
        pass

    def stop_there(entry):
        if entry["step"] == stop:
            raise Stop

    with pytest.raises(Stop):
        trainer(recipe, tmp_path / "parts", save_every=2).train(stop_there)
    again = trainer(recipe, tmp_path / "parts", save_every=2)
    got = weights(again.train())
    assert same(got, want)
    assert log(tmp_path / "parts") == log(tmp_path / "whole")


@pytest.fixture
def usual_interrupts():
    """Python's own Ctrl-C, also where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_interrupts")
def test_ctrl_c_leaves_a_checkpoint_after_the_current_step(recipe, tmp_path):
    def interrupt(entry):
        if entry["step"] == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="run again to go on"):
        trainer(recipe, tmp_path / "run").train(interrupt)
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == ["step-000005"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    want = weights(trainer(recipe, tmp_path / "whole").train())
    assert same(weights(trainer(recipe, tmp_path / "run").train()), want)


def test_micro_batches_add_up_to_the_whole_batch(recipe, tmp_path):
    # Without dropout the parts of a batch give the gradient of the whole, up to rounding.
    whole, parts = [], []
    trainer(recipe, tmp_path / "whole").train(whole.append)
    small = dataclasses.replace(recipe, micro_batch=3)
    run = trainer(small, tmp_path / "parts")
    assert [chunk.stop - chunk.start for chunk in run._chunks] == [3, 3, 2]
    run.train(parts.append)
    for a, b in zip(whole, parts, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-3)
        assert b["gradient_norm"] == pytest.approx(a["gradient_norm"], rel=2e-2)
    assert parts[0]["loss"] == pytest.approx(whole[0]["loss"], rel=1e-5)


def test_two_processes_give_the_losses_of_one(tmp_path):
    source = tmp_path / "trial.yaml"
    source.write_text(SMALL)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    module = ["-m", "coconut_lab.training", str(source), "--output"]
    # accelerate starts several processes on one machine by its launcher for GPUs; on CPUs it would
    # ask for MPI. The variable above keeps the processes on the CPU, where they talk over gloo.
    launch = [
        *["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"],
        *["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"],
        *["--main_process_port", "0"],
    ]
    for folder, command in (("one", module), ("two", [*launch, *module])):
        done = subprocess.run(
            [sys.executable, *command, str(tmp_path / folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
    assert "2 process(es) x 1 part(s) of 4 problems" in done.stdout
    assert done.stdout.count("effective batch 8") == 1
    one, two = log(tmp_path / "one"), log(tmp_path / "two")
    assert len(one) == len(two) == 9
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-3)
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-5)
    got = Coconut.from_pretrained(tmp_path / "two" / "model")
    want = Coconut.from_pretrained(tmp_path / "one" / "model")
    for a, b in zip(weights(got).values(), weights(want).values(), strict=True):
        assert torch.allclose(a, b, atol=5e-3)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_trains(recipe, tmp_path, method):
    part = dataclasses.replace(recipe.curriculum, method=method, mix_probability=0.0)
    run = trainer(
        dataclasses.replace(recipe, curriculum=part),
        tmp_path / "run",
        validation=generate_prosqa(5, seed=9),
    )
    model = run.train()
    entries = log(tmp_path / "run")
    assert len(entries) == 9 and "accuracy" in entries[-1]
    pauses = METHODS[method].stand_in == "pauses"
    assert (token_id(model.tokenizer, PAUSE) is not None) == pauses
    # Killed and continued, also with a token more than the base model has.
    again = trainer(dataclasses.replace(recipe, curriculum=part), tmp_path / "run").train()
    assert same(weights(again), weights(model))


def test_the_pause_token_starts_as_a_copy_and_needs_no_random_numbers(recipe):
    model = new_model(recipe.model, ["Alex", "lempus"], seed=0)
    rows = len(model.tokenizer)
    before = weights(model), torch.random.get_rng_state()
    add_pause(model)
    add_pause(model)
    assert len(model.tokenizer) == rows + 1
    assert torch.equal(torch.random.get_rng_state(), before[1])
    table = model.language_model.get_input_embeddings().weight
    assert torch.equal(table[:rows], before[0]["language_model.model.embed_tokens.weight"])
    assert torch.equal(table[pause_token(model.tokenizer)], table[model.tokens.thought])


def test_resets_every_epoch_as_the_published_code_does(recipe, tmp_path):
    part = dataclasses.replace(recipe.optimizer, reset="every_epoch")
    often = dataclasses.replace(recipe, optimizer=part)
    # 40 problems in batches of 8: an epoch has 5 steps; stages change at 3 and 6.
    assert [moment.step for moment in moments(often, 40) if moment.reset] == [0, 3, 5, 6]
    assert [moment.step for moment in moments(recipe, 40) if moment.reset] == [0, 3, 6]
    entries = []
    trainer(often, tmp_path / "run").train(entries.append)
    rates = [entry["lr"] for entry in entries]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.005, 0.01, 0.005, 0.005, 0.01, 0.01])


def test_phases_in_epochs_become_steps(recipe):
    phases = (Phase(epochs=2), Phase(stage=1, steps=4), Phase(stage=3, epochs=1))
    found = dataclasses.replace(recipe, phases=phases).in_steps(41)
    assert [phase.steps for phase in found.phases] == [10, 4, 5]
    assert found.total_steps == 19 and not any(phase.epochs for phase in found.phases)


def test_the_schedule_is_told_before_training(recipe, tmp_path, capsys):
    source = tmp_path / "trial.yaml"
    source.write_text(SMALL)
    assert main([str(source), "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "effective batch 8: 1 process(es) x 1 part(s) of 8 problems" in told
    lines = told.splitlines()
    rows = [re.split(r"  +", line) for line in lines[3:6]]
    assert [row[1:6] for row in rows] == [
        ["0", "nothing", "0", "0.3", "3"],
        ["1", "first step", "1", "0.3", "3"],
        ["3", "all steps", "2", "0", "3"],
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_stage": 4}, "curriculum.max_stage: 4, but no problem has more than 3 steps"),
        ({"max_stage": 1}, r"phases\[2\].stage: 3 is past the last stage, 2"),
        ({"method": "icot", "max_stage": 9}, "no problem has more than 3 tokens in its steps"),
        ({"thoughts_per_step": 40}, "at stage 2, but the model has 96 positions"),
    ],
)
def test_stages_that_do_not_fit_are_refused_before_any_work(recipe, tmp_path, change, message):
    part = dataclasses.replace(recipe.curriculum, **change)
    with pytest.raises(RecipeError, match=message):
        trainer(dataclasses.replace(recipe, curriculum=part), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_problems_from_files_and_too_few_of_them(recipe, tmp_path):
    path = tmp_path / "problems.json"
    write_json(generate_prosqa(40, seed=1), path)
    part = dataclasses.replace(recipe.problems, source=str(path), rename=False)
    entries = []
    trainer(dataclasses.replace(recipe, problems=part), tmp_path / "a").train(entries.append)
    generated = dataclasses.replace(recipe.problems, rename=False)
    want = []
    trainer(dataclasses.replace(recipe, problems=generated), tmp_path / "b").train(want.append)
    assert [entry["loss"] for entry in entries] == [entry["loss"] for entry in want]
    write_json(generate_prosqa(7, seed=1), path)
    with pytest.raises(RecipeError, match=r"problems.json holds 7 problems, fewer than one batch"):
        trainer(dataclasses.replace(recipe, problems=part), tmp_path / "c")


def test_a_folder_that_cannot_be_written_to(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot write to .*choose another folder"):
        trainer(recipe, tmp_path / "file" / "run").train()


def test_stop_ends_after_the_step(recipe, tmp_path):
    run = trainer(recipe, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt, match="stopped after step 2"):
        run.train(lambda entry: run.stop() if entry["step"] == 2 else None)
    assert run.step == 3
    want = weights(trainer(recipe, tmp_path / "whole").train())
    assert same(weights(run.train()), want)


def test_tensorboard_is_optional(recipe, tmp_path):
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(TrainingError, match="pip install tensorboard"):
            trainer(recipe, tmp_path / "run", tensorboard=True)
    else:
        trainer(recipe, tmp_path / "run", tensorboard=True).train()
        assert list((tmp_path / "run").glob("events.out.*"))


def test_kill_9_at_random_moments(recipe, tmp_path):
    source = tmp_path / "trial.yaml"
    command = [sys.executable, "-m", "coconut_lab.training", str(source), "--output"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    path = tmp_path / "killed"
    # Long enough that kills fall into steps and into saving.
    text = SMALL.replace("steps: 3}", "steps: 60}").replace("steps: 3,", "steps: 60,")
    source.write_text(text)
    rng = random.Random(0)
    hit = 0
    for _ in range(5):
        process = subprocess.Popen(
            [*command, str(path)], env=environment, stderr=subprocess.DEVNULL
        )
        done = len(log_lines(path))
        until = time.monotonic() + 120
        # Once it has begun to train, let it go on for a moment, whatever it is doing then.
        while process.poll() is None and time.monotonic() < until:
            if len(log_lines(path)) != done:
                time.sleep(rng.uniform(0.05, 0.5))
                break
            time.sleep(0.01)
        hit += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert hit >= 2, "the runs were over before they could be killed"
    done = subprocess.run([*command, str(path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = subprocess.run(
        [*command, str(tmp_path / "whole")], env=environment, capture_output=True, text=True
    )
    assert whole.returncode == 0, whole.stderr
    got = Coconut.from_pretrained(path / "model")
    want = Coconut.from_pretrained(tmp_path / "whole" / "model")
    assert same(weights(got), weights(want))


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(recipe, tmp_path):
    run = trainer(recipe, tmp_path / "run", save_every=2)

    def spoil(entry):
        if entry["step"] == 3:
            with torch.no_grad():
                next(run.model.parameters()).fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"loss is nan at step 4; the last good .*step-000004"):
        run.train(spoil)
    assert (tmp_path / "run" / "step-000004" / "training.json").exists()


def test_a_run_of_another_recipe_is_not_continued(recipe, tmp_path):
    trainer(recipe, tmp_path / "run").train()
    other = dataclasses.replace(recipe, seed=8)
    with pytest.raises(TrainingError, match="holds a run of another recipe or seed"):
        trainer(other, tmp_path / "run").train()


def test_a_full_disk_while_saving_leaves_the_older_checkpoint(recipe, tmp_path, monkeypatch):
    run = trainer(recipe, tmp_path / "run", save_every=2)
    usual = Coconut.write_files

    def fails_later(self, folder):
        usual(self, folder)
        if "step-000004" in folder.name:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Coconut, "write_files", fails_later)
    with pytest.raises(OSError, match="No space left"):
        run.train()
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "run").iterdir() if path.is_dir()] == ["step-000002"]
    want = weights(trainer(recipe, tmp_path / "whole").train())
    assert same(weights(trainer(recipe, tmp_path / "run").train()), want)


def test_batches_are_a_function_of_the_step_and_go_through_every_problem():
    problems = generate_prosqa(64, seed=1)
    preset = PRESETS["tiny"]
    tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
    batches = Batches(problems, tokenizer, 8, seed=0, names=[*preset.entities, *preset.concepts])
    other = Batches(problems, tokenizer, 8, seed=0, names=[*preset.entities, *preset.concepts])
    curriculum = Curriculum(max_stage=3, mix_probability=0.5)
    order = [37, 2, 15, 2]
    for step in order:
        a, b = batches.curriculum(step, curriculum, 2), other.curriculum(step, curriculum, 2)
        assert all(torch.equal(a[name], b[name]) for name in a)
    seen = sorted(row for step in range(16) for row in batches.rows(step))
    assert seen == sorted(list(range(64)) * 2)


def test_renaming_keeps_the_problem_and_changes_the_names():
    problems = generate_prosqa(16, seed=2)
    preset = PRESETS["tiny"]
    tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
    plain = Batches(problems, tokenizer, 16, seed=0).curriculum(0, Curriculum(), 0)
    names = [*preset.entities, *preset.concepts]
    renamed = Batches(problems, tokenizer, 16, 0, names).curriculum(0, Curriculum(), 0)
    assert torch.equal(plain["labels"] == IGNORED, renamed["labels"] == IGNORED)
    ids = set(tokenizer.convert_tokens_to_ids(names))
    changed = 0
    for row, new in zip(plain["input_ids"].tolist(), renamed["input_ids"].tolist(), strict=True):
        mapping = dict(zip(row, new, strict=True))
        assert [mapping[token] for token in row] == new
        assert len(set(mapping.values())) == len(mapping)
        assert all(old in ids or old == token for old, token in mapping.items())
        changed += mapping != {token: token for token in mapping}
    assert changed >= 15


def test_walks_follow_the_graph_and_markers_come_as_often_as_asked():
    problems = generate_prosqa(1000, seed=4)
    preset = PRESETS["tiny"]
    tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
    rng = random.Random(0)
    walks, bots, eots, chances = 0, 0, 0, 0
    for problem, parts in zip(problems, tokenize(problems, tokenizer), strict=True):
        example = encode_walks(problem.graph, parts, tokenizer, WalksPart(), rng)
        words = tokenizer.convert_ids_to_tokens(example.input_ids)
        facts = len(problem.graph.edges) * 3
        assert words[:facts] == problem.question.split()[:facts]
        assert set(example.labels[:facts]) == {IGNORED}
        edges = {(problem.graph.names[a], problem.graph.names[b]) for a, b in problem.graph.edges}
        pieces = " ".join(words[facts:]).split("[R] ")[1:]
        walks += len(pieces)
        for piece in pieces:
            walk = piece.split()
            nodes = [word for word in walk if not word.startswith("<")]
            assert set(itertools.pairwise(nodes)) <= edges
            # A walk ends where nothing follows, or after four hops.
            assert len(nodes) == 5 or not any(parent == nodes[-1] for parent, _ in edges)
            bots += "<bot>" in walk
            assert "<bot>" not in walk or walk.index("<bot>") == 1
            chances += len(nodes) > 2
            eots += "<eot>" in walk
            assert "<eot>" not in walk or nodes[0] != walk[walk.index("<eot>") - 1] != "<bot>"
        learned = [word for word, label in zip(words, example.labels, strict=True) if label >= 0]
        assert not {"<bot>", "<eot>", "[R]"} & set(learned)
        # All nodes but the first of each walk are learned.
        total = sum(not word.startswith("<") for piece in pieces for word in piece.split())
        assert len(learned) == total - len(pieces)
    assert walks == 1000 * WalksPart().per_problem
    assert abs(bots / walks - 0.6) < 0.03 and abs(eots / chances - 0.5) < 0.03


def test_the_shipped_recipes_are_valid():
    for path in FOLDER.glob("*.yaml"):
        assert load_recipe(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("frobnicate: 1", "unknown key frobnicate"),
        ("optimizer: {speed: 1}", "unknown key optimizer.speed"),
        ("phases: [{stage: 1}]", r"phases\[0\]: either steps or epochs"),
        ("phases: []", "at least one phase"),
        ("phases: [{steps: 0}]", "either steps or epochs must be above 0"),
        ("phases: 3", "phases: expected a list"),
        ("seed: soon", "seed: expected int"),
        ("optimizer: {lr: fast}", "optimizer.lr: expected float"),
        ("optimizer: {reset: sometimes}", "optimizer.reset: 'sometimes'"),
        ("objective: glory", "objective: 'glory'"),
        ("batch_size: 0", "batch_size"),
        ("problems: {count: 4}", "fewer problems than one batch"),
    ],
)
def test_bad_recipes_name_the_key(tmp_path, change, message):
    path = tmp_path / "bad.yaml"
    key = change.split(":")[0]
    kept, skipping = [], False
    for line in SMALL.strip().splitlines():
        if not line.startswith(" "):
            skipping = line.startswith(f"{key}:")
        if not skipping:
            kept.append(line)
    path.write_text("\n".join([*kept, change]))
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)
    assert main([str(path)]) == 2


def test_recipes_that_are_none(tmp_path):
    with pytest.raises(RecipeError, match="this package has .*tiny-base"):
        load_recipe("nothing")
    (tmp_path / "a.yaml").write_text("[1, 2")
    with pytest.raises(RecipeError, match="no YAML"):
        load_recipe(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("just text")
    with pytest.raises(RecipeError, match="a mapping"):
        load_recipe(tmp_path / "a.yaml")
    with pytest.raises(TypeError):
        Recipe()
