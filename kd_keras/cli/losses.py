"""`kd-keras losses`: what can be matched between teacher and student, with papers and defaults."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from kd_keras.cli.job import Command, Job, json_file
from kd_keras.quiet_start import quiet_start


@dataclasses.dataclass(frozen=True)
class Losses(Job):
    """List the losses of kd_keras: what each matches, its defaults and its paper.

    In Python they are `kd_keras.losses.<name>`; `help(kd_keras.losses.<name>)` has the formula, the
    shapes and an example. `kd-keras study` compares several with one command.

    Attributes:
        matches: Only those that match this: logits, features, relations, contrast or gradients.
        json: Write the list to this file too.
    """

    matches: Literal["logits", "features", "relations", "contrast", "gradients"] | None = None
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None

    def run(self, call: str, console: Console) -> None:
        with json_file(self.json, "losses", console) as write:
            with console.status("Starting TensorFlow ..."), quiet_start():
                from kd_keras.losses.catalogue import catalogue
            entries = [e for e in catalogue() if self.matches in (None, e.matches)]
            rows = [dataclasses.asdict(entry) for entry in entries]
            write(json.dumps({"command": call, "losses": rows}, indent=2) + "\n")
        heading = None
        for entry in entries:
            if entry.matches != heading:
                heading = entry.matches
                console.rule(Text(heading, style="bold"), align="left")
            console.print(Text(f"{entry.name}({entry.defaults})", style="bold"), highlight=False)
            for line in (entry.summary, Text(entry.paper, style="dim")):
                console.print(Padding(line, (0, 0, 0, 4)), highlight=False, markup=False)


COMMAND = Command(parse=Losses, examples={"kd-keras losses": "what can be matched, with papers"})
