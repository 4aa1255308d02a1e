"""Train on one and on two logical CPU devices, and print what came out (see test_distribution)."""

import contextlib
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import kd_keras

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (40, 6, 6, 1)).astype("float32")
Y = RANDOM.integers(0, 3, 40)
WEIGHT = RANDOM.random(40).astype("float32")


def net(norm):
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(x)
    if norm:
        synchronized = norm == "synchronized"
        x = keras.layers.BatchNormalization(synchronized=synchronized, momentum=0.5)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(3, kernel_regularizer="l2")(x))


class Renamed(keras.distillation.LogitsDistillation):
    """A user's subclass, which lives outside of Keras's modules."""


class OwnScalar(keras.distillation.DistillationLoss):
    """A user's loss with an averaging Keras loss inside and weights of its own."""

    def __init__(self):
        self.project = keras.layers.Dense(3)

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        return keras.losses.MeanSquaredError()(teacher_outputs, self.project(student_outputs))


def scalar_losses():
    # One behind a plain function, one behind an averaging keras.losses.Loss.
    mse = keras.losses.MeanSquaredError()
    return [
        keras.distillation.FeatureDistillation("mse", "conv", "conv"),
        keras.distillation.FeatureDistillation(mse, "conv", "conv"),
        Renamed(2.0, loss=keras.losses.KLDivergence()),
        Renamed(2.0, loss=keras.losses.MeanSquaredError(reduction="sum")),
        OwnScalar(),
    ]


def picking():
    return kd_keras.augment.Pick(kd_keras.augment.cutmix(seed=2), pool=2)


def following():
    changes = {"none": None, "noise": kd_keras.augment.GaussianNoise(0.3), "black": tf.zeros_like}
    return kd_keras.augment.Feedback(changes, before=[], seed=2)


def ensemble():
    crowd = kd_keras.teachers.Ensemble({"a": net(None), "b": net(None)}, weights="accuracy")
    return crowd, kd_keras.losses.KLDivergence(2.0)


def named():
    """A frozen teacher with a tap, beside the moving average of the student."""
    kl, hint = kd_keras.losses.KLDivergence(2.0), kd_keras.losses.Hint("conv", "conv")
    teachers = {"frozen": net(None), "past": kd_keras.teachers.MovingAverage(0.7)}
    return teachers, {"frozen": [kl, hint], "past": kd_keras.losses.ProbabilityMSE()}


def learning():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.2, momentum=0.9)
    teacher = kd_keras.teachers.Learning(net(None), optimizer, loss)
    return teacher, kd_keras.losses.KLDivergence(2.0)


def train(strategy, norm=None, augmentation=None, teach=None, **compile_options):
    keras.utils.set_random_seed(1)
    with strategy.scope() if strategy else contextlib.nullcontext():
        losses = [kd_keras.losses.KLDivergence(2.0)]
        if augmentation not in (picking, following):
            losses += scalar_losses()
        else:  # with weights of its own, or none to share
            augmentation = augmentation()
        teacher, losses = (net(norm), losses) if teach is None else teach()
        distiller = kd_keras.Distiller(
            teacher, net(norm), losses, student_loss_weight=0.3, augmentation=augmentation
        )
        distiller.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **compile_options,
        )
    dataset = tf.data.Dataset.from_tensor_slices((X, Y, WEIGHT)).batch(8)
    history = distiller.fit(dataset, epochs=2, verbose=0).history
    return {
        "history": history,
        "evaluation": distiller.evaluate(dataset, verbose=0, return_dict=True),
        "weights": [weight.tolist() for weight in distiller.student.get_weights()],
        "step": int(distiller.step.numpy()),
    }


def both(mirrored, **options):
    return {"one": train(None, **options), "two": train(mirrored, **options)}


def dense_net():
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(4, name="hidden")(x)))


def few_examples(mirrored):
    """The last batch has one example, so one of the replicas has none."""
    keras.utils.set_random_seed(1)
    scalar = keras.distillation.FeatureDistillation("mse", "hidden", "hidden")
    noise = kd_keras.augment.GaussianNoise(0.05)
    with mirrored.scope():
        student = dense_net()
        distiller = kd_keras.Distiller(
            dense_net(),
            student,
            [kd_keras.losses.KLDivergence(2.0), scalar],
            augmentation=kd_keras.augment.Feedback({"none": None, "noise": noise}, before=[]),
        )
        distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dataset = tf.data.Dataset.from_tensor_slices((X[:9], Y[:9])).batch(8)
    logs = distiller.fit(dataset, verbose=0).history
    values = [*student.get_weights(), *distiller.adaptation_variables, *logs.values()]
    return {
        "finite": all(bool(np.isfinite(np.asarray(value)).all()) for value in values),
        "step": int(distiller.step.numpy()),
    }


def guard(mirrored):
    damaged = X.copy()
    damaged[17] = np.nan  # in one replica's half of the third batch
    found = {"error": None, "finite": False}
    keras.utils.set_random_seed(1)
    with mirrored.scope():
        student = net("plain")
        distiller = kd_keras.Distiller(net("plain"), student, kd_keras.losses.KLDivergence(2.0))
        distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    try:
        distiller.fit(tf.data.Dataset.from_tensor_slices((damaged, Y)).batch(8), verbose=0)
    except kd_keras.NonFiniteLossError as error:
        found["error"] = type(error).__name__
    found["finite"] = all(bool(np.isfinite(weight).all()) for weight in student.get_weights())
    return found


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    mixing = [kd_keras.augment.named("geometric", seed=3), kd_keras.augment.named("mixup", seed=5)]
    results = {
        "plain": both(mirrored),
        "steps": {"two": train(mirrored, steps_per_execution=3)},
        "synchronized": both(mirrored, norm="synchronized"),
        "batch_norm": {"two": train(mirrored, norm="plain")},
        "xla": {"two": train(mirrored, jit_compile=True)},
        "mixing": both(mirrored, augmentation=mixing),
        "pick": both(mirrored, augmentation=picking),
        "feedback": both(mirrored, augmentation=following),
        "nan": guard(mirrored),
        "few": few_examples(mirrored),
        "ensemble": both(mirrored, teach=ensemble),
        "named": both(mirrored, teach=named),
        "learning_xla": both(mirrored, teach=learning, jit_compile=True),
        "named_xla": {"two": train(mirrored, teach=named, jit_compile=True)},
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
