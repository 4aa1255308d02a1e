"""`kd-keras demo`: a web page that runs the very `.tflite` file in the browser."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kd_keras import demo
from kd_keras.cli.job import Command, Job
from kd_keras.demo.serving import check_host
from kd_keras.report.saying import say


@dataclasses.dataclass(frozen=True)
class Demo(Job):
    """Write a web page that runs a .tflite file in the browser, with LiteRT's own web runtime.

    The page is one file that needs no network and no server: open it, draw on it, drop a picture
    or take one, and see probabilities and milliseconds. To see it on a phone, serve it in the local
    network (--serve --host 0.0.0.0) or send the file. LiteRT's web runtime is fetched from the npm
    registry the first time and kept in the user's cache.

    Attributes:
        student: An image classifier, such as saved_models/digits/student_int8.tflite.
        teacher: Another .tflite file, to stand beside it.
        labels: A text file with one label a line, instead of the labels in the files.
        output: Folder for the page, its own; by default saved_models/<student>-demo.
        serve: Serve the page until Ctrl-C.
        host: Address to serve on; 0.0.0.0 lets phones in the same network in.
        port: Port to serve on; 0 takes any free one.
    """

    student: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.tflite")]]
    teacher: Annotated[Path | None, tyro.conf.arg(metavar="FILE.tflite")] = None
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    serve: tyro.conf.FlagCreatePairsOff[bool] = False
    host: str = "127.0.0.1"
    port: int = 8000

    def run(self, call: str, console: Console) -> None:
        if self.serve:
            check_host(self.host)
        folder = self.output or Path("saved_models") / f"{self.student.stem}-demo"
        with console.status("Writing the page ..."):
            page = demo.write_demo(
                self.student, folder, teacher=self.teacher, labels=self.labels, command=call
            )
        say(console, str(page))
        if self.serve:
            with demo.serve(folder, host=self.host, port=self.port) as server:
                say(console, f"http://{self.host}:{server.server_address[1]}/ until Ctrl-C")
                # Ctrl-C is how one ends it, and no error.
                with contextlib.suppress(KeyboardInterrupt):
                    server.serve_forever()


COMMAND = Command(
    parse=Demo,
    examples={"kd-keras demo student.tflite": "a web page that runs the file in the browser"},
)
