"""Run files in LiteRT's CompiledModel: the program of a child process, which a file may end.

It stands by itself: it imports nothing of the package, so that it starts in half a second. Each
line of standard input is a JSON object with the paths of a model, of its inputs (.npz: for each
name of the signature an array of examples) and of the outputs to write; each reply is a line, empty
where all went well.
"""

import json
import os
import sys


def outputs(model: str, inputs: str) -> dict:
    """Return the outputs by name, for one batch of the file's own size after the other."""
    import numpy as np
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    compiled = CompiledModel.from_file(model, HardwareAccelerator.CPU)
    signature = compiled.get_signature_by_index(0)["key"]
    takes = compiled.get_input_tensor_details(signature)
    gives = compiled.get_output_tensor_details(signature)
    feeds = {name: compiled.create_input_buffer_by_name(signature, name) for name in takes}
    results = {name: compiled.create_output_buffer_by_name(signature, name) for name in gives}
    # What is not written must not look like what was written last.
    for name, detail in gives.items():
        results[name].write(np.full(detail["shape"], 77, detail["dtype"]))
    found: dict = {name: [] for name in gives}
    with np.load(inputs) as values:
        size = max(1, next(iter(takes.values()))["shape"][0])
        for start in range(0, len(values[next(iter(takes))]), size):
            for name in takes:
                feeds[name].write(np.ascontiguousarray(values[name][start : start + size]))
            compiled.run_by_name(signature, feeds, results)
            for name, detail in gives.items():
                shape = tuple(detail["shape"])
                count = int(np.prod(shape))
                value = results[name].read(count, np.dtype(detail["dtype"]).type)
                found[name].append(np.reshape(value, shape))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def main() -> None:
    """Answer until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the runtime's own words
    # What lies in the folder that it is called in may be anybody's.
    sys.path[:] = filter(None, sys.path)
    import numpy as np

    for line in sys.stdin:
        asked = json.loads(line)
        try:
            np.savez(asked["outputs"], **outputs(asked["model"], asked["inputs"]))
            reply = ""
        except Exception as error:
            reply = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(reply, file=replies, flush=True)


if __name__ == "__main__":
    main()
