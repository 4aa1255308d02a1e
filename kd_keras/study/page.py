"""A study as one self-contained HTML page."""

from __future__ import annotations

from kd_keras.study.summary import Summary


def render(summary: Summary) -> str:
    return summary.title
