"""One forward pass that yields a model's outputs and its named intermediate outputs together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


class TappedModel:
    """Run a model once and return `(outputs, taps)`.

    A plain object on purpose: Keras tracks layers and models that are attributes of a model, and
    the extractor made here would otherwise be saved a second time inside the `.keras` file.

    Args:
        model: Functional or Sequential model (built or not), or a subclassed model whose `call`
            returns a dict that holds the taps.
        names: Layer names or keys of the dict output.
        role: "teacher" or "student", for error messages.
    """

    def __init__(self, model: Any, names: Iterable[str], role: str):
        self.model = model
        self.names = tuple(dict.fromkeys(names))
        self.role = role
        self._extractor = self._make_extractor() if self.names else None

    def __call__(self, x: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        if not self.names:
            return forward(self.model, x, training), {}
        if self._extractor is None:  # a Sequential model may have been built since
            self._extractor = self._make_extractor()
        if self._extractor is not None:
            results = self._extractor(x, training=training)
            return results["outputs"], results["taps"]
        outputs = forward(self.model, x, training)
        return outputs, {name: self._from_dict(outputs, name) for name in self.names}

    def _make_extractor(self) -> keras.Model | None:
        graph = _graph(self.model)
        if graph is None:
            return None
        inputs, outputs = graph
        taps = {name: self._symbolic_tap(outputs, name) for name in self.names}
        return keras.Model(
            inputs, {"outputs": outputs, "taps": taps}, name=f"{self.model.name}_with_taps"
        )

    def _symbolic_tap(self, outputs: Any, name: str) -> Any:
        if isinstance(outputs, dict) and name in outputs:
            return outputs[name]
        layer = next((layer for layer in self.model.layers if layer.name == name), None)
        if layer is None:
            raise ValueError(self._unknown_name(name))
        # `layer.output` is the layer's first call anywhere: of a shared layer it may be another
        # model's tensor, and of a layer called twice it is one of two, silently.
        nodes = [node for node in layer._inbound_nodes if node in self._nodes()]
        if len(nodes) != 1:
            raise ValueError(
                f"The {self.role}'s layer {name!r} is called {len(nodes)} times in model "
                f"{self.model.name!r}, so its output is ambiguous. Tap a layer that is called "
                "once, for example a `keras.layers.Identity(name=...)` behind the call meant."
            )
        produced = nodes[0].output_tensors
        return produced[0] if len(produced) == 1 else list(produced)

    def _nodes(self) -> set[Any]:
        functional = self.model
        if isinstance(functional, keras.Sequential):
            functional = functional._functional
        return {node for nodes in functional._nodes_by_depth.values() for node in nodes}

    def _from_dict(self, outputs: Any, name: str) -> Any:
        if isinstance(outputs, dict) and name in outputs:
            return outputs[name]
        received = f"keys {sorted(outputs)}" if isinstance(outputs, dict) else f"{type(outputs)}"
        raise ValueError(
            f"The {self.role} {self.model.name!r} is a subclassed model without a graph, so the "
            f"tap {name!r} must be a key of the dict that its `call` returns. Received: "
            f"{received}. Return `{{'logits': ..., {name!r}: ...}}` from `call`, or build the "
            f"model with the functional API. {_list_layers(self.model)}"
        )

    def _unknown_name(self, name: str) -> str:
        message = (
            f"The {self.role} {self.model.name!r} has no layer and no output named {name!r}. "
            f"{_list_layers(self.model)}"
        )
        for layer in self.model.layers:
            if name in {inner.name for inner in getattr(layer, "layers", [])}:
                message += (
                    f" A layer {name!r} exists inside the nested model {layer.name!r}, but it is "
                    "not connected to the outer graph: give the nested model that output, or tap "
                    "the nested model itself."
                )
        return message


def forward(model: Any, x: Any, training: bool | None) -> Any:
    """Call `model`, with `training` if its `call` takes it."""
    if model._call_has_training_arg:
        return model(x, training=training)
    return model(x)


def _graph(model: Any) -> tuple[Any, Any] | None:
    """Return the symbolic inputs and outputs of a functional or built Sequential model.

    `None` for a model whose class writes its own `call`: that does something else than its graph.
    """
    defines_call = next(kind for kind in type(model).__mro__ if "call" in vars(kind))
    if not defines_call.__module__.startswith("keras.src.models."):
        return None
    if isinstance(model, keras.Sequential):
        return (model.inputs[0], model.outputs[0]) if model.built else None
    return (model.input, model.output) if hasattr(model, "_nodes_by_depth") else None


def _list_layers(model: Any) -> str:
    names = [layer.name for layer in getattr(model, "layers", [])]
    if not names:
        return "The model has no layers yet: build it first."
    return f"Its layers are: {names}."
