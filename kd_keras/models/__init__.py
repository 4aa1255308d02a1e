"""Small teachers and students: raw images, ids of words or waveforms in, logits out, with taps."""

from kd_keras.models.from_name import from_name
from kd_keras.models.ids_to_text import IdsToText
from kd_keras.models.mlp import mlp
from kd_keras.models.mobilenet import mobilenet
from kd_keras.models.preprocessed import Preprocessed
from kd_keras.models.resnet import resnet
from kd_keras.models.sound import audio_resnet, dscnn, sound_from_name
from kd_keras.models.text import text_network
from kd_keras.models.unet import unet

__all__ = [
    "IdsToText",
    "Preprocessed",
    "audio_resnet",
    "dscnn",
    "from_name",
    "mlp",
    "mobilenet",
    "resnet",
    "sound_from_name",
    "text_network",
    "unet",
]
