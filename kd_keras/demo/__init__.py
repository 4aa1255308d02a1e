"""A web page that runs `.tflite` files in the browser, offline, with LiteRT's own web runtime.

Imports no TensorFlow until a page is written.
"""

from kd_keras.demo.page import write_demo
from kd_keras.demo.serving import serve

__all__ = ["serve", "write_demo"]
