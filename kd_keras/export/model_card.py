"""The model card of a `.tflite` file: what an app's developer must know to use it."""

from __future__ import annotations

from collections.abc import Mapping

from kd_keras.escaping import markdown_template
from kd_keras.export import metadata
from kd_keras.export.presets import PRESETS
from kd_keras.export.result import ExportResult
from kd_keras.export.runtime import LiteModel


def model_card(
    result: ExportResult,
    *,
    title: str,
    figures: Mapping[str, str],
    command: str,
    environment: Mapping[str, str],
) -> str:
    """Return the model card of an exported file as Markdown.

    Args:
        result: The export.
        title: The heading.
        figures: What was measured of the file, by what it is.
        command: What makes it again; empty for none.
        environment: Names and versions of what made it.

    Reference: Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, arXiv:1810.03993.
    """
    model = LiteModel(result.path)
    said = metadata.read(result.path)
    return markdown_template("kd_keras.export", "model_card.md.j2").render(
        title=title,
        result=result,
        preset=PRESETS[result.quantization],
        raw=said.input_mean in ((), (0.0,)) and said.input_std in ((), (1.0,)),
        inputs=[
            (
                name,
                ", ".join("any" if size is None else str(size) for size in shape),
                _stored(model.input_encodings[name]),
            )
            for name, shape in model.input_shapes.items()
        ],
        outputs=[
            (
                name,
                _stored(model.output_encoding(name)),
                said.outputs if name == said.labelled_output else "",
            )
            for name in model.output_names
        ],
        labels=said.labels,
        figures=figures,
        command=command,
        environment=environment,
    )


def _stored(encoding: object) -> str:
    dtype, scale, zero = (getattr(encoding, name) for name in ("dtype", "scale", "zero_point"))
    return f"{dtype}, real = (stored - {zero}) * {scale:.6g}" if scale else f"{dtype}"
