"""Networks that projects have, as they are, through `fit`; docs/your_own.md lists them."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence
from kd_keras.teachers import Frozen
from tests.conftest import small_hub_backbone, sparse_crossentropy

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (8, 24, 24, 3)).astype("float32")
LABELS = np.arange(8) % 4


def small_student(classes=4):
    return keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            keras.layers.Rescaling(1 / 255.0),
            keras.layers.Flatten(),
            keras.layers.Dense(classes),
        ]
    )


def kl(teacher, student, temperature):
    """KL by hand, times the square of the temperature, of float64 logits."""

    def log_softmax(logits):
        logits = logits.astype("float64") / temperature
        logits = logits - logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    t, s = log_softmax(teacher), log_softmax(student)
    return temperature**2 * np.mean(np.sum(np.exp(t) * (t - s), axis=-1))


def distilled(frozen, student, images=IMAGES):
    distiller = kd_keras.Distiller(frozen, student, KLDivergence(2.0))
    distiller.compile(keras.optimizers.SGD(0.01), sparse_crossentropy(), metrics=["accuracy"])
    before = student.predict(images, verbose=0)
    logs = distiller.fit(images, LABELS, batch_size=8, verbose=0).history
    return before, logs


@pytest.mark.slow
def test_a_network_of_keras_applications_with_its_preprocessing_at_another_size():
    applications = keras.applications
    teacher = applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=4)
    preprocess = applications.mobilenet_v2.preprocess_input
    frozen = Frozen(teacher, inputs=lambda x: preprocess(keras.ops.image.resize(x, (32, 32))))
    before, logs = distilled(frozen, small_student())
    resized = np.array(keras.ops.image.resize(IMAGES, (32, 32)))
    probabilities = teacher.predict(preprocess(resized), verbose=0)
    assert logs["distillation_loss"][0] == pytest.approx(
        kl(np.log(probabilities), before, 2.0), 1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_classifier_of_keras_hub_with_its_preprocessor(activation):
    keras_hub = pytest.importorskip("keras_hub", reason="keras-hub needs Python 3.11")
    models, layers = keras_hub.models, keras_hub.layers
    backbone = small_hub_backbone(32)
    converter = layers.ResNetImageConverter(image_size=(32, 32), scale=1 / 255.0)
    preprocessor = models.ResNetImageClassifierPreprocessor(image_converter=converter)
    # It compiles itself, and its metrics have seen no data.
    teacher = models.ResNetImageClassifier(
        backbone=backbone, num_classes=4, preprocessor=preprocessor, activation=activation
    )
    with pytest.raises(ValueError, match="inputs=teacher.preprocessor"):
        kd_keras.Distiller(teacher, small_student(), KLDivergence(2.0))
    before, logs = distilled(Frozen(teacher, inputs=teacher.preprocessor), small_student())
    expected = teacher.predict(IMAGES, verbose=0)
    expected = np.log(expected) if activation else expected
    assert logs["distillation_loss"][0] == pytest.approx(kl(expected, before, 2.0), 1e-4)


@pytest.mark.parametrize("wrap", [Frozen, lambda model: model])
def test_a_teacher_that_was_compiled_teaches_and_its_metrics_stay_its_own(wrap):
    teacher = small_student()
    teacher.compile("adam", sparse_crossentropy(), metrics=["accuracy"])
    teacher.fit(IMAGES, LABELS, verbose=0)
    student = small_student()
    _, logs = distilled(wrap(teacher), student)
    assert np.isfinite(logs["loss"][0])
    assert {"accuracy", "teacher_accuracy", "agreement"} <= set(logs)
