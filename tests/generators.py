"""Small generators for tests, whose images tell which latent and class they were made from."""

import keras


def conditional(classes=5, latent=4, size=6, column=False):
    """A tanh generator: the image is constant over its left half by class, right half by latent."""
    z = keras.Input((latent,))
    c = keras.Input((1,) if column else (), dtype="int32")
    ids = keras.layers.Reshape((1,))(c)
    shade = keras.layers.Rescaling(0.2, name="by_class")(keras.ops.cast(ids, "float32"))
    first = keras.layers.Lambda(lambda values: values[:, :1], output_shape=(1,))(z)
    left = keras.layers.RepeatVector(size * size // 2)(shade)
    right = keras.layers.RepeatVector(size * size // 2)(first)
    both = keras.layers.Concatenate(axis=2)([left, right])
    image = keras.layers.Reshape((size, size, 1))(both)
    return keras.Model([z, c], keras.layers.Activation("tanh")(image), name="conditional")


def unconditional(latent=4, size=6, activation="tanh"):
    return keras.Sequential(
        [
            keras.Input((latent,)),
            keras.layers.Dense(size * size, activation=activation),
            keras.layers.Reshape((size, size, 1)),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Activation(activation),
        ],
        name="unconditional",
    )
