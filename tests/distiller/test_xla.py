"""The compiled core is the plain core, and nothing but the core is compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import losses
from kd_keras.losses import KLDivergence
from kd_keras.losses.catalogue import catalogue
from tests.conftest import sparse_crossentropy


@keras.saving.register_keras_serializable(package="tests")
class HashDropout(keras.layers.Dropout):
    """Dropout whose mask is an integer hash of the seed state.

    Keras's own Dropout lets TensorFlow choose the generator, which under XLA is another one: the
    same state then draws another mask. A hash is the same anywhere, so this shows that the compiled
    core advances and uses the random state as the plain one does.
    """

    def call(self, inputs, training=False):
        if not training:
            return inputs
        seed = tf.cast(tf.reduce_sum(self.seed_generator.next() * [7919, 104729]), tf.int32)
        index = tf.range(tf.size(inputs), dtype=tf.int32)
        draw = tf.math.floormod((index + seed) * 40503, 1000)
        keep = tf.reshape(draw >= int(1000 * self.rate), tf.shape(inputs))
        return tf.where(keep, inputs / (1.0 - self.rate), 0.0)


def net(name, dropout):
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, kernel_regularizer="l2")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = HashDropout(0.3, seed=5)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x), name=name)


def train(images, jit_compile, optimizer="sgd", augmentation=None):
    keras.utils.set_random_seed(1)
    terms = [KLDivergence(2.0), keras.distillation.FeatureDistillation("mse", "relu", "relu")]
    distiller = kd_keras.Distiller(
        net("t", False), net("s", True), terms, augmentation=augmentation
    )
    distiller.compile(optimizer, sparse_crossentropy(), ["accuracy"], jit_compile=jit_compile)
    x, y = images
    weight = np.linspace(0, 2, len(x)).astype("float32")
    history = distiller.fit(
        x / 255, y, batch_size=8, epochs=3, shuffle=False, sample_weight=weight, verbose=0
    ).history
    return distiller, history


def test_the_compiled_core_equals_the_plain_core(images):
    """With taps, regularisers, Dropout, BatchNorm statistics and sample weights."""
    (plain, plain_logs), (compiled, compiled_logs) = (train(images, jit) for jit in (False, True))
    assert compiled.jit_compile
    assert compiled._loop._jitted_core is not None
    assert plain._loop._jitted_core is None
    for name, values in plain_logs.items():
        np.testing.assert_allclose(values, compiled_logs[name], rtol=1e-4, atol=1e-6)
    for a, b in zip(plain.student.variables, compiled.student.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    # The random state moved, once a step, in both.
    state = next(v for v in compiled.student.variables if "seed" in v.path)
    assert int(np.asarray(state)[1]) == 15


@pytest.mark.slow
def test_layers_that_xla_cannot_compile_stay_outside(images):
    """RandomRotation under `jit_compile=True` fails in plain Keras: no XLA kernel."""
    keras_cv = pytest.importorskip("keras_cv")
    rotation = keras_cv.layers.RandomRotation(0.2, seed=1)
    distiller, history = train(images, True, augmentation=rotation)
    assert distiller._loop._jitted_core is not None
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_the_core_is_compiled_under_loss_scaling_too(images):
    (_, plain), (_, compiled) = (
        train(images, jit, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01)))
        for jit in (False, True)
    )
    np.testing.assert_allclose(plain["loss"], compiled["loss"], rtol=1e-4)


def test_auto_follows_keras(images):
    distiller, _ = train(images, "auto")
    reference = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    reference.compile("sgd", "mse", jit_compile="auto")
    assert distiller.jit_compile == reference.jit_compile


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_step_is_traced_once(images, jit_compile):
    traces = []

    def augmentation(x):
        traces.append(tuple(x.shape))
        return x

    x, y = images
    keras.utils.set_random_seed(1)
    distiller = kd_keras.Distiller(
        net("t", False), net("s", True), KLDivergence(2.0), augmentation=augmentation
    )
    distiller.compile("sgd", sparse_crossentropy(), jit_compile=jit_compile)
    distiller.fit(x, y, batch_size=16, epochs=3, verbose=0)  # 16, 16 and a last batch of 8
    # Once for the step, and twice to see whether two traces are alike.
    assert len(traces) == 3


def every_loss():
    """One of each, as it works between two networks of ours."""
    stages = ["stage2_out", "stage3_out"]
    several = {"teacher_layer_name": stages, "student_layer_name": stages}
    pooled = {"teacher_layer_name": "features", "student_layer_name": "features"}
    last = {"teacher_layer_name": "stage3_out", "student_layer_name": "stage3_out"}
    return [
        losses.KLDivergence(2.0),
        losses.BinaryKLDivergence(2.0),
        losses.SoftCrossentropy(),
        losses.LogitsMSE(),
        losses.ProbabilityMSE(),
        losses.StandardizedKL(),
        losses.DecoupledKD(),
        losses.DIST(),
        losses.HardLabel(),
        losses.AttentionTransfer(**last),
        losses.ChannelWise(2.0, **last, adapter=True),
        losses.NeuronSelectivity(**last),
        losses.Hint(**last, adapter=True),
        losses.VariationalInformation(**last),
        losses.OverhaulFeature(**several, margin=-0.5),
        losses.KnowledgeReview(**several, max_width=4),
        losses.SimilarityPreserving(**last),
        losses.RelationalKD(**pooled),
        losses.ProbabilisticTransfer(**pooled),
        losses.CorrelationCongruence(**pooled),
        losses.InBatchContrast(**pooled, dimensions=4),
        losses.ContrastiveRepresentation(8, **pooled, negatives=4, dimensions=4, seed=1),
        losses.InputGradient(),
    ]


def one_loss():
    return [KLDivergence(2.0)]


def network(name, seed):
    return kd_keras.models.from_name(name, input_shape=(8, 8, 1), num_classes=3, seed=seed)


def staged(seed):
    """The least that has the stages of our networks, which take long to compile."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((8, 8, 1))
    for name, strides in (("stage2_out", 2), ("stage3_out", 1)):
        x = keras.layers.Conv2D(4, 3, strides, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU(name=name)(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def losses_of_two_steps(jit_compile, make, teacher, student):
    keras.utils.set_random_seed(1)
    made = make()
    distiller = kd_keras.Distiller(teacher, student, made, [1e-3] * len(made))
    distiller.compile(keras.optimizers.SGD(0.01), sparse_crossentropy(), jit_compile=jit_compile)
    x = np.random.default_rng(0).uniform(0, 255, (8, 8, 8, 1)).astype("float32")
    if len(made) > 1:
        x = {"image": x, "sample_index": np.arange(8)}
    logs = [distiller.train_on_batch(x, np.arange(8) % 3, return_dict=True) for _ in range(2)]
    assert (distiller._loop._jitted_core is not None) == jit_compile
    return logs


def assert_steps_are_equal(plain, compiled):
    for a, b in zip(plain, compiled, strict=True):
        assert set(a) == set(b)
        for name, value in a.items():
            np.testing.assert_allclose(b[name], value, rtol=2e-3, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_every_built_in_loss_compiles_in_the_core():
    assert {type(loss).__name__ for loss in every_loss()} == {e.name for e in catalogue()}
    assert_steps_are_equal(
        *(losses_of_two_steps(jit, every_loss, staged(0), staged(1)) for jit in (False, True))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8x4", "mobilenetx0.25", "mlp16"])
def test_every_built_in_model_compiles_in_the_core(name):
    # Taught by another built-in model, which takes no time to compile.
    assert_steps_are_equal(
        *(
            losses_of_two_steps(jit, one_loss, network("mlp16", 0), network(name, 1))
            for jit in (False, True)
        )
    )


@pytest.mark.slow
def test_rematerialised_blocks_compile_in_the_core():
    results = []
    for jit in (False, True):
        student = kd_keras.models.resnet((8, 8, 1), 3, depth=8, width=4, seed=1, rematerialize=True)
        results.append(losses_of_two_steps(jit, one_loss, network("mlp16", 0), student))
    assert_steps_are_equal(*results)
