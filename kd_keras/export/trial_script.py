"""Run a file from standard input on zeros: the program of a child process, which it may end.

It stands by itself: it imports nothing of the package, so that it starts in half a second. What
LiteRT refuses in words is no matter of this program. The one argument is "delegates" or "plain".
"""

import sys

# What a run wrote to a wrong place may end the next one.
_RUNS = 3


def main() -> None:
    """Run the file, and let go of it: memory that was overwritten is noticed then at the latest."""
    # What lies in the folder that it is called in may be anybody's.
    sys.path[:] = filter(None, sys.path)
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = (
        OpResolverType.AUTO
        if sys.argv[1] == "delegates"
        else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    content = sys.stdin.buffer.read()
    try:
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            if np.dtype(detail["dtype"]).kind in "biuf":
                zeros = np.zeros(detail["shape"], detail["dtype"])
                interpreter.set_tensor(detail["index"], zeros)
        for _ in range(_RUNS):
            interpreter.invoke()
    except (RuntimeError, ValueError):
        pass
    interpreter = None


if __name__ == "__main__":
    main()
