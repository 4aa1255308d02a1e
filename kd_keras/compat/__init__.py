"""Every private name of Keras and TensorFlow that the package touches, behind a public one.

Each function or class says which line of Keras or TensorFlow it works around, and has a test in
`tests/compat` that fails when that line changes. No other room may import `keras.src` or
`tensorflow.python`, or touch an attribute of theirs that begins with an underscore.
"""
