"""What the mistakes take out of a model, and the loop around a thought that may be wrong."""

from __future__ import annotations

import torch


def embed(model, ids):
    return model.get_input_embeddings()(ids)


def states(model, inputs):
    return model.base_model(inputs_embeds=inputs).last_hidden_state


def before_the_norm(model, inputs):
    """The output of the last layer as such, which a forward hook on the layer gives."""
    seen = []
    backbone = model.base_model
    layer = (backbone.h if hasattr(backbone, "h") else backbone.layers)[-1]

    def note(module, arguments, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    hook = layer.register_forward_hook(note)
    backbone(inputs_embeds=inputs)
    hook.remove()
    return seen[0]


def layer_below(model, inputs):
    return model.base_model(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-2]


def word_of(model, hidden):
    return embed(model, model.lm_head(hidden).argmax(-1))


def columns_of(ids, thought_id):
    return (ids[0] == thought_id).nonzero().flatten().tolist()


def thought_by_thought(model, ids, thought_id, thought_from):
    """The right loop, around a `thought_from(inputs, column)` that may be wrong."""
    inputs, thoughts = embed(model, ids), []
    for column in columns_of(ids, thought_id):
        thoughts.append(thought_from(inputs, column))
        fed = thoughts[-1][:, None]
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    return states(model, inputs), thoughts
