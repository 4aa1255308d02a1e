"""A term of the distillation loss as a recipe writes it: `weight * Loss(argument=value)`."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import sys
from collections.abc import Mapping
from typing import Any

# The losses of `kd_keras.losses` that can be made by their names, but for `_IN_PYTHON_ALONE`; they
# stand here too because a recipe is checked without importing TensorFlow. A test compares them.
LOSSES = (
    "AttentionTransfer",
    "BinaryKLDivergence",
    "ChannelWise",
    "CorrelationCongruence",
    "DIST",
    "DecoupledKD",
    "HardLabel",
    "Hint",
    "InBatchContrast",
    "InputGradient",
    "KLDivergence",
    "KnowledgeReview",
    "LogitsMSE",
    "NeuronSelectivity",
    "OverhaulFeature",
    "ProbabilisticTransfer",
    "ProbabilityMSE",
    "RelationalKD",
    "SimilarityPreserving",
    "SoftCrossentropy",
    "StandardizedKL",
    "VariationalInformation",
)
# They need what a recipe's data do not have.
_IN_PYTHON_ALONE = {"ContrastiveRepresentation": "the number of each example beside its image"}
_FORM = "A loss is written as in Python, such as 'KLDivergence' or '0.5 * DecoupledKD(beta=2.0)'."


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss of a recipe.

    Attributes:
        name: The class in `kd_keras.losses`.
        positional: Its arguments without a name.
        named: Its arguments with a name.
        weight: What it is multiplied by.

    Example:

    >>> from kd_keras.recipes.term import Term
    >>> term = Term.parse("0.5 * DecoupledKD(alpha=1.0, beta=2.0)")
    >>> term.name, term.weight, term.named
    ('DecoupledKD', 0.5, {'alpha': 1.0, 'beta': 2.0})
    """

    name: str
    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weight: float = 1.0

    @classmethod
    def parse(cls, text: Any) -> Term:
        """Return the term that `text` says. Nothing in it is executed.

        Raises:
            ValueError: If it is no loss, or one that there is not.
        """
        received = f"Received: losses with {text!r}."
        if not isinstance(text, str):
            raise ValueError(f"`losses` must hold texts. {_FORM} {received}")
        try:
            node = ast.parse(text.strip(), mode="eval").body
            weight = 1.0
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                weight, node = ast.literal_eval(node.left), node.right
            positional: tuple[Any, ...] = ()
            named: dict[str, Any] = {}
            if isinstance(node, ast.Call):
                positional = tuple(ast.literal_eval(value) for value in node.args)
                named = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
                node = node.func
            if not isinstance(node, ast.Name) or "None" in named:
                raise ValueError("no name of a loss")
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError(f"`losses` cannot be read. {_FORM} {received}") from error
        if node.id in _IN_PYTHON_ALONE:
            raise ValueError(
                f"`losses` must hold losses that images, labels and networks are enough for; "
                f"{node.id} needs {_IN_PYTHON_ALONE[node.id]}. {received} Use it in Python, with "
                "kd_keras.Distiller."
            )
        if node.id not in LOSSES:
            close = difflib.get_close_matches(node.id, LOSSES, n=1)
            meant = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(LOSSES)}."
            raise ValueError(f"`losses` must name losses of kd_keras.losses. {received} {meant}")
        is_weight = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not is_weight or not 0 <= weight <= sys.float_info.max:
            raise ValueError(
                f"The weight before a loss must be a finite number >= 0. {_FORM} {received}"
            )
        return cls(node.id, positional, named, float(weight))

    def build(self, temperature: float) -> Any:
        """Return the loss; imports TensorFlow.

        Args:
            temperature: Of a loss between softened logits that says none itself.

        Raises:
            ValueError: If the loss takes no such arguments.
        """
        import inspect

        from kd_keras import losses

        kind = getattr(losses, self.name)
        named = dict(self.named)
        takes = inspect.signature(kind).parameters
        softens = issubclass(kind, losses.LogitLoss) and "temperature" in takes
        if softens and "temperature" not in named and not self.positional:
            named["temperature"] = temperature
        try:
            return kind(*self.positional, **named)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`losses` holds a {self.name} that cannot be made: {error} Its arguments: "
                f"{', '.join(takes)}. Received: {self.name} with {list(self.positional)} and "
                f"{dict(self.named)}."
            ) from error
