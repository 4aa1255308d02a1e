"""One forward pass that yields a model's outputs and its named intermediate outputs together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from kd_keras.compat import structure as compat
from kd_keras.compat.model import takes_training


class TappedModel:
    """Run a model once and return `(outputs, taps)`.

    A plain object on purpose: Keras tracks layers and models that are attributes of a model, and
    the extractor made here would otherwise be saved a second time inside the `.keras` file.

    Args:
        model: Functional or Sequential model (built or not), or a subclassed model whose `call`
            returns a dict that holds the taps.
        names: Layer names, paths "inner/layer" of layers in nested models, or keys of the dict
            output; tuples of those count as their names.
        role: "teacher" or "student", for error messages.
    """

    def __init__(self, model: Any, names: Iterable[Any], role: str):
        self.model = model
        self.names = tuple(dict.fromkeys(keras.tree.flatten(list(names))))
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
        inside = _by_nested_model(outputs, self.names)
        if inside:
            inputs, outputs, taps = self._graph_with(inside)
            return self._extractor_of(inputs, outputs, taps)
        taps = {name: self._symbolic_tap(outputs, name) for name in self.names}
        return self._extractor_of(inputs, outputs, taps)

    def _extractor_of(self, inputs: Any, outputs: Any, taps: dict[str, Any]) -> keras.Model:
        return keras.Model(
            inputs, {"outputs": outputs, "taps": taps}, name=f"{self.model.name}_with_taps"
        )

    def _graph_with(self, inside: dict[str, list[str]]) -> tuple[Any, Any, dict[str, Any]]:
        """Build the graph again, each nested model replaced by one that also yields its taps.

        The layers are the model's own; only their calls are new. A tensor of the nested model's own
        graph would not do: it hangs on that graph's input.

        Args:
            inside: For each nested model, by its name, the taps that lie in it.
        """
        functional = compat.functional(self.model)
        taps: dict[str, Any] = {}
        for name in inside:
            self._node_of(name)  # refuses a model that is unknown or called twice
        direct = {name for name in self.names if "/" not in name}
        given = {name: functional.output[name] for name in direct & _keys(functional.output)}
        for name in direct - given.keys():
            self._node_of(name)

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(operation, keras.Layer) and operation.name in inside:
                inner = TappedModel(
                    operation, inside[operation.name], f"{self.role}'s nested model"
                )
                if inner._extractor is None:
                    raise ValueError(inner._without_graph())
                results = inner._extractor(*args, **kwargs)
                taps.update({f"{operation.name}/{n}": t for n, t in results["taps"].items()})
                outputs = results["outputs"]
            else:
                outputs = operation(*args, **kwargs)
            if getattr(operation, "name", None) in direct - given.keys():
                taps[operation.name] = outputs
            return outputs

        inputs = keras.tree.map_structure(
            lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), functional.input
        )
        outputs = compat.called_again(self.model, inputs, call)
        taps.update({name: outputs[name] for name in given})
        if isinstance(self.model, keras.Sequential):
            inputs, outputs = keras.tree.flatten(inputs)[0], keras.tree.flatten(outputs)[0]
        return inputs, outputs, taps

    def _symbolic_tap(self, outputs: Any, name: str) -> Any:
        if name in _keys(outputs):
            return outputs[name]
        produced = self._node_of(name).output_tensors
        return produced[0] if len(produced) == 1 else list(produced)

    def _node_of(self, name: str) -> Any:
        """Return the one call of a layer of the model."""
        layer = next((layer for layer in self.model.layers if layer.name == name), None)
        if layer is None:
            raise ValueError(self._unknown_name(name))
        nodes = compat.calls_in(self.model, layer)
        if len(nodes) != 1:
            raise ValueError(
                f"The {self.role}'s layer {name!r} is called {len(nodes)} times in model "
                f"{self.model.name!r}, so its output is ambiguous. Tap a layer that is called "
                "once, for example a `keras.layers.Identity(name=...)` behind the call meant."
            )
        return nodes[0]

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
                    f" A layer {name!r} exists inside the nested model {layer.name!r}: tap it as "
                    f"'{layer.name}/{name}'."
                )
        return message

    def _without_graph(self) -> str:
        return (
            f"The {self.role} {self.model.name!r} has no graph of layers, so {self.names} inside it"
            " cannot be tapped: it is a subclassed model or a layer. Tap its output, or build it "
            "with the functional API."
        )


def forward(model: Any, x: Any, training: bool | None) -> Any:
    """Call `model`, with `training` if its `call` takes it."""
    if takes_training(model):
        return model(x, training=training)
    return model(x)


def _graph(model: Any) -> tuple[Any, Any] | None:
    """Return the symbolic inputs and outputs of a functional or built Sequential model.

    `None` for a model whose class writes its own `call`: that does something else than its graph.
    """
    if not compat.is_plain_functional(model):
        return None
    if isinstance(model, keras.Sequential):
        return (model.inputs[0], model.outputs[0]) if model.built else None
    return (model.input, model.output) if compat.has_graph(model) else None


def _keys(outputs: Any) -> set[str]:
    return set(outputs) if isinstance(outputs, dict) else set()


def _by_nested_model(outputs: Any, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the paths among `names`, split at the first slash: {"inner": ["layer", "a/b"]}."""
    inside: dict[str, list[str]] = {}
    for name in names:
        model, slash, path = name.partition("/")
        if slash and name not in _keys(outputs):
            inside.setdefault(model, []).append(path)
    return inside


def _list_layers(model: Any) -> str:
    names = [layer.name for layer in getattr(model, "layers", [])]
    if not names:
        return "The model has no layers yet: build it first."
    return f"Its layers are: {names}."
