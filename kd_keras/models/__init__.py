"""Small teachers and students: raw images or ids of words in, logits out, taps with names."""

from kd_keras.models.from_name import from_name
from kd_keras.models.mlp import mlp
from kd_keras.models.mobilenet import mobilenet
from kd_keras.models.resnet import resnet
from kd_keras.models.text import text_network
from kd_keras.models.unet import unet

__all__ = ["from_name", "mlp", "mobilenet", "resnet", "text_network", "unet"]
