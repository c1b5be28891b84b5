"""Make `site/`, the course as pages that need no Python and no network.

    python tools/make_site.py [FOLDER]

The front page has the model itself, in JavaScript, and lists the notebooks. Each notebook is a page
with its kept outputs, in which explorers step. A page is one file and makes no request.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from notebook_files import ROOT, WIDGET_STATE, WIDGET_VIEW, read
from pygments.formatters import HtmlFormatter

from coconut_lab.checkpoints.shipped import Checkpoint, load
from coconut_lab.explorers import ThoughtStepper
from coconut_lab.explorers.browser.explorer import ROOM, module
from coconut_lab.explorers.stepper.widget import CONTROLS

#: The models of a page: after training, before it, and fed pauses in place of its thoughts.
MODELS = ("tiny-coconut", "tiny-base", "tiny-pause-as-thought")
PROBLEM = 21  # on the front page: three hops, and both earlier frontiers hold two names
# The parts of a layer, as model.js calls them.
PARTS = {
    "input_layernorm": "before_attention",
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "post_attention_layernorm": "before_mlp",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}


def export_model(checkpoint: Checkpoint, matrices: str = "<f2") -> dict[str, Any]:
    """Write a shipped model as plain data, for `new TinyModel(…)` in model.js.

    Args:
        checkpoint: a tiny model: a Llama with tied embeddings and words for tokens.
        matrices: numpy's name of the type of a layer's matrices: `"<f2"` (float16) or `"<f4"`.
            Embeddings and norms, one weight in a hundred, are always float32: rounding these would
            cost more than rounding all others.

    Returns:
        Shape, words, tensors (name, rows, columns, bytes of a number), weights as base64, and
        whether it reads pauses.

    Raises:
        ValueError: the model has something that model.js has not.
    """
    language_model, tokenizer = checkpoint.model.language_model, checkpoint.tokenizer
    config, rule = language_model.config, checkpoint.curriculum.rule
    plain = {
        "model_type": "llama",
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "num_key_value_heads": config.num_attention_heads,
        "attention_bias": False,
        "mlp_bias": False,
    }
    unlike = [name for name, value in plain.items() if getattr(config, name, None) != value]
    if unlike or config.rope_parameters["rope_type"] != "default" or not rule.markers:
        raise ValueError(f"{checkpoint.card.get('name')} is no model for model.js: {unlike}")
    stored = {}
    for name, value in language_model.state_dict().items():
        if name != "lm_head.weight":  # the embeddings once more
            short, exact = _short_name(name), value.dim() == 1 or "embed" in name
            stored[short] = value.float().numpy().astype("<f4" if exact else matrices)
    return {
        "shape": {
            "width": config.hidden_size,
            "layers": config.num_hidden_layers,
            "heads": config.num_attention_heads,
            "head_dim": config.head_dim,
            "positions": config.max_position_embeddings,
            "eps": config.rms_norm_eps,
            "theta": config.rope_parameters["rope_theta"],
        },
        "words": tokenizer.convert_ids_to_tokens(range(len(tokenizer))),
        "tensors": [
            (name, value.size // value.shape[-1], value.shape[-1], value.itemsize)
            for name, value in stored.items()
        ],
        "weights": base64.b64encode(b"".join(v.tobytes() for v in stored.values())).decode(),
        "pauses": rule.stand_in == "pauses",
    }


def _short_name(name: str) -> str:
    """Turn `model.layers.0.self_attn.q_proj.weight` into `0.q`."""
    name = name.removeprefix("model.").removesuffix(".weight")
    if not name.startswith("layers."):
        return name.removesuffix("_tokens")
    layer, _, part = name.removeprefix("layers.").partition(".")
    return f"{layer}.{PARTS[part]}"


def what_pages_know() -> dict[str, Any]:
    """What a stepper answers from in a page: models, the list of problems, controls in words."""
    stepper, problems, models = ThoughtStepper(MODELS[0]), [], {}
    for index in range(stepper.count):
        stepper.index = index
        data = stepper.original
        problems.append({key: data[key] for key in data if key not in ("reading", "card")})
    for name in MODELS:
        stepper.model_name = name
        models[name] = {**export_model(load(name)), "card": stepper.data["card"]}
    return {"models": models, "problems": problems, "inWords": CONTROLS}


class Page:
    """One page: what is shown, and the explorers in it."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.known = known
        self.explorers: list[dict[str, Any]] = []
        self.modules: dict[str, str] = {}  # source → name
        self.styles: dict[str, None] = {}  # in their order, each once

    def explorer(self, state: dict[str, Any], still: str) -> str:
        """Add an explorer, by the state of its widget; gives the markup of its place.

        A still picture is there until the explorer is drawn, and stays where scripts do not run.
        """
        name = self.modules.setdefault(state["_esm"], f"module{len(self.modules)}")
        self.styles[state["_css"]] = None
        beside = ("layout", "tooltip", "tabbable")  # of every widget; not the explorer's
        traits = {k: v for k, v in state.items() if k not in beside and not k.startswith("_")}
        for choices, more in (("models", ()), ("controls", ("none", "another problem"))):
            if choices in traits:  # as far as a page can answer
                traits[choices] = [one for one in traits[choices] if one in (*MODELS, *more)]
        self.explorers.append({"module": name, "traits": traits})
        return f'<div data-explorer="{len(self.explorers) - 1}">{still}</div>'

    def write(self, path: Path, title: str, body: str) -> None:
        """Write the page as one file."""
        script = ""
        if self.explorers:
            asks = any("original" in one["traits"] for one in self.explorers)
            data = {"explorers": self.explorers, **(self.known if asks else {})}
            parts = {
                # In JSON, a "<" can be written so that it never begins a tag.
                "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
                "MODULES": ",".join(f"{name}: {_value(js)}" for js, name in self.modules.items()),
                "MODEL": model_script(),
                "PAGE": _inline(module("browser/page.js")),
            }
            script = _filled("script.html", parts)
        style = "\n".join([*self.styles, _code_style()])
        parts = {"TITLE": escape(title), "STYLE": style, "BODY": body, "SCRIPT": script}
        path.write_text(_filled("page.html", parts), encoding="utf-8")


def model_script() -> str:
    """model.js as a part of a script."""
    return _inline((ROOM / "browser" / "model.js").read_text(encoding="utf-8"))


def _filled(name: str, parts: dict[str, str]) -> str:
    """Fill a template of tools/site/."""
    template = (ROOT / "tools" / "site" / name).read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _inline(source: str) -> str:
    """A module without its exports, as a part of a script: a file may not import a file."""
    return re.sub(r"^export (?=function|const|class)", "", source, flags=re.MULTILINE)


def _value(source: str) -> str:
    """A module as an expression, whose value is its default export."""
    return f"(() => {{ {_inline(source).replace('export default', 'return')} }})()"


def _code_style() -> str:
    light, dark = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("xcode", "nord"))
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


class _Renderer(IPythonRenderer):
    """Writes formulas as MathML, which browsers draw by themselves."""

    def inline_math(self, body: str) -> str:
        return convert(body)

    def block_math(self, body: str) -> str:
        return convert(body, display="block")


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        renderer = _Renderer(escape=False, anchor_link_text="", exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source)


def notebook_page(path: Path, folder: Path, known: dict[str, Any]) -> str:
    """Write a run notebook as a page, with the explorers of its outputs; gives its title."""
    notebook, page = read(path), Page(known)
    states = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            view = data.pop(WIDGET_VIEW, {"model_id": None})["model_id"]
            if view not in states:
                continue
            state, name = states[view]["state"], data["text/plain"]
            still = (
                f'<img alt="{escape(name)}" src="data:image/png;base64,{data.get("image/png")}">'
            )
            shown = page.explorer(state, still) if "_esm" in state else _drawing(state, states)
            output["data"] = {"text/html": shown, "text/plain": name}
    title = notebook.cells[0].source.split("\n")[0].strip("# ")

    def linked(match: re.Match[str]) -> str:
        """Lead to the page of another notebook; what is not part of the site is named only."""
        name, text = match.groups()
        there = (path.parent / f"{name}.ipynb").exists() and "/" not in name
        return f'<a href="{name}.html">{text}</a>' if there else text

    body = _Exporter(template_name="basic").from_notebook_node(notebook)[0]
    body = re.sub(r'<a href="([^":#]+)\.ipynb">(.*?)</a>', linked, body)
    link = '<nav><a href="index.html">coconut-lab</a></nav>'
    page.write(folder / f"{path.stem}.html", title, f"{link}<main>{body}</main>")
    return title


def _drawing(state: dict[str, Any], states: dict[str, Any]) -> str:
    """The drawing of an explorer that is made of ipywidgets: its longest piece of HTML."""
    parts = [states[part.removeprefix("IPY_MODEL_")]["state"] for part in state["children"]]
    texts = [part["value"] for part in parts if part["_model_name"] == "HTMLModel"]
    return max(texts, key=len, default="")


def make(folder: Path, notebooks: list[Path]) -> None:
    """Write the front page, and a page for each notebook.

    Args:
        folder: what is in it goes.
        notebooks: run notebooks.
    """
    known = what_pages_know()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ".nojekyll").touch()  # GitHub Pages then serves the files as they are
    titles = {path.stem: notebook_page(path, folder, known) for path in notebooks}
    page = Page(known)
    stepper = ThoughtStepper(MODELS[0], problem=PROBLEM)
    stepper.thought = 2
    links = [f'<li><a href="{n}.html">{escape(title)}</a></li>' for n, title in titles.items()]
    place = page.explorer(stepper.get_state(), stepper.still())
    parts = {"EXPLORER": place, "NOTEBOOKS": "\n".join(links)}
    page.write(folder / "index.html", "coconut-lab", _filled("front.html", parts))


def main() -> int:
    """Make the site of this repository."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site")
    make(folder, sorted((ROOT / "notebooks").glob("*.ipynb")))
    for path in sorted(folder.glob("*.html")):
        print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
