"""Small students with statistics as training leaves them."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers as L

import kd_keras


def with_statistics(model: keras.Model) -> keras.Model:
    """Give every batch normalisation, bias and gamma values that folding must not lose."""
    random = np.random.default_rng(3)
    for layer in model._flatten_layers():
        if isinstance(layer, L.BatchNormalization):
            count = layer.moving_mean.shape[0]
            layer.moving_mean.assign(random.normal(0, 0.3, count))
            layer.moving_variance.assign(random.uniform(0.3, 2, count))
            if layer.scale:
                layer.gamma.assign(random.uniform(-1.5, 1.5, count))
            if layer.center:
                layer.beta.assign(random.normal(0, 0.3, count))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.normal(0, 0.2, layer.bias.shape))
    return model


def chain(*inner: keras.Layer) -> keras.Model:
    """The layers on 8 x 8 x 3 images in 0..255, rescaled."""
    image = x = keras.Input((8, 8, 3), name="image")
    for layer in (L.Rescaling(1 / 127.5, -1.0, name="rescaling"), *inner):
        x = layer(x)
    return with_statistics(keras.Model(image, x, name="student"))


def head() -> tuple[keras.Layer, ...]:
    return L.GlobalAveragePooling2D(name="features"), L.Dense(5, name="logits")


def conv() -> keras.Model:
    return chain(
        L.Conv2D(6, 3, padding="same", use_bias=False, kernel_regularizer="l2", name="conv"),
        L.BatchNormalization(name="norm"),
        L.ReLU(name="relu"),
        *head(),
    )


def separable() -> keras.Model:
    """Depthwise with a multiplier, separable, an unfoldable normalisation, ReLU6."""
    return chain(
        L.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same", use_bias=False),
        L.BatchNormalization(scale=False),
        L.ReLU(6.0),
        L.SeparableConv2D(8, 3, depth_multiplier=2, padding="same"),
        L.BatchNormalization(),
        L.ReLU(),
        L.BatchNormalization(center=False),
        L.Conv2D(8, 1, activation="relu6"),
        *head(),
    )


def activations() -> keras.Model:
    return chain(
        L.Conv2D(6, 3, activation="tanh"),
        L.ZeroPadding2D(1),
        L.Conv2D(6, 3, activation="sigmoid"),
        L.MaxPooling2D(2),
        L.Conv2D(6, 2),
        L.LeakyReLU(0.1),
        L.Flatten(),
        L.Dropout(0.5),
        L.Dense(8, use_bias=False),
        L.BatchNormalization(),
        L.Activation("relu"),
        L.Dense(5, activation="softmax", name="probabilities"),
    )


def branches() -> keras.Model:
    """Add, subtract, multiply, concatenate, a layer called twice, two outputs."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.Rescaling(1 / 255)(image)
    shared = L.Conv2D(3, 3, padding="same", name="shared")
    x = L.ReLU()(shared(L.ReLU()(shared(x))))
    a, b = L.Conv2D(4, 3)(x), L.Conv2D(4, 3, activation="relu")(x)
    added = L.ReLU(name="sum")(L.Add()([a, b]))
    joined = L.Concatenate()([added, L.Multiply()([a, b]), L.Subtract()([a, b])])
    pooled = L.GlobalAveragePooling2D()(joined)
    outputs = {"logits": L.Dense(5, name="logits")(pooled), "tap": added}
    return with_statistics(keras.Model(image, outputs, name="branches"))


def nested() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, name="inner_conv")(inputs)
    backbone = keras.Model(inputs, L.ReLU()(L.BatchNormalization()(x)), name="backbone")
    rescaling = L.Rescaling(1 / 127.5, -1.0)
    scaling = keras.Sequential([keras.Input((8, 8, 3)), rescaling], name="scaling")
    image = keras.Input((8, 8, 3), name="image")
    features = L.GlobalAveragePooling2D(name="features")(backbone(scaling(image)))
    return with_statistics(keras.Model(image, L.Dense(5, name="logits")(features), name="nested"))


def sequential() -> keras.Model:
    return with_statistics(
        keras.Sequential(
            [
                keras.Input((8, 8, 3), name="image"),
                L.Rescaling(1 / 255),
                L.Conv2D(4, 3, use_bias=False),
                L.BatchNormalization(),
                L.ReLU(),
                L.Flatten(),
                L.Dense(5, name="logits"),
            ],
            name="sequential",
        )
    )


def blocks() -> keras.Model:
    """What MobileNetV3, EfficientNet and a U-Net are made of: gates, silu, `x + y`, ways up."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.Normalization(mean=[100.0, 120, 130], variance=[3600.0, 2500, 4900])(image)
    x = L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(x))
    x = L.Activation("hard_silu")(x)
    gate = L.Conv2D(6, 1)(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = x * (L.ReLU(6.0)(gate + 3.0) * (1 / 6))
    x = L.ReLU()(x + L.Conv2D(6, 3, padding="same", activation="silu")(x))
    small = L.MaxPooling2D()(x)
    up = L.BatchNormalization()(L.Conv2DTranspose(4, 2, strides=2, use_bias=False)(small))
    smooth = L.UpSampling2D(interpolation="bilinear")(small)
    x = L.Concatenate()([L.UpSampling2D()(small), L.ReLU()(up), smooth, x])
    x = L.GlobalAveragePooling2D()(L.Conv2D(8, 1, activation="gelu")(x))
    return with_statistics(keras.Model(image, L.Dense(5, name="logits")(x), name="blocks"))


def attention() -> keras.Model:
    """Convolutions over time and one block of a transformer, of which a part stays in float."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.Reshape((16, 12))(L.Rescaling(1 / 127.5, -1.0)(image))
    x = L.BatchNormalization()(L.Conv1D(8, 3, padding="causal", use_bias=False)(x))
    x = L.Conv1D(8, 2, strides=2, activation="tanh")(L.ReLU()(x))
    x = x + np.linspace(-1, 1, 64, dtype="float32").reshape(8, 8)
    x = x + L.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = L.LayerNormalization(name="norm")(x)
    x = L.GlobalAveragePooling1D()(L.Dense(8, activation="relu")(x))
    return with_statistics(keras.Model(image, L.Dense(5, name="logits")(x), name="attention"))


def mobilenet() -> keras.Model:
    return with_statistics(kd_keras.models.mobilenet((8, 8, 3), 5, width=0.25, seed=0))


def resnet() -> keras.Model:
    return with_statistics(kd_keras.models.resnet((8, 8, 3), 5, depth=8, width=4, seed=0))


ALL = (conv, separable, activations, branches, nested, sequential, resnet, blocks)
