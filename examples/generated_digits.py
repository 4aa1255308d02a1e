"""Distil with images from a generator: a small conditional GAN on the embedded digits.

    python examples/generated_digits.py --output generated_digits

The owner of the data trains a teacher and a GAN on all training images. Whoever trains the student
gets both networks and only a few real images, or none. The script writes `teacher.keras`,
`generator.keras` and `samples.png`, and prints test accuracies of students that were all trained
for the same number of steps:

- real: the few real images, labels and teacher;
- real + generated views: half of each batch replaced by `kd_keras.augment.Generated`;
- generated alone: `kd_keras.data.generated`, unlabelled: the teacher's answers are all there is.

Every arm sees the policy `digits` on top. A network that is in the folder already is taken from
there; delete the folder to start over. The GAN: Mirza and Osindero, arXiv:1411.1784, with the
projection discriminator of Miyato and Koyama, ICLR 2018, arXiv:1802.05637.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tyro
from PIL import Image
from rich.console import Console
from rich.table import Table

import kd_keras
from kd_keras import Supervised

# Predicting with a dozen networks is no reason for a warning about retracing.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

CLASSES = 10
LATENT = 16
BATCH = 64
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@dataclasses.dataclass
class Options:
    """Train a GAN on digits, and students on what it makes.

    Attributes:
        output: Folder for the networks and the picture.
        limit: Real images that the students get.
        teacher_steps: Steps of the teacher.
        gan_steps: Steps of the GAN.
        steps: Steps of each student.
        seeds: Students of each kind; 0 for the networks and the picture alone.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
    """

    output: Path = Path("generated_digits")
    limit: int = 100
    teacher_steps: int = 420
    gan_steps: int = 3000
    steps: int = 400
    seeds: int = 3
    data_dir: Path | None = None


def make_generator() -> keras.Model:
    """Return latents (B, 16) and class ids (B,) -> images (B, 8, 8, 1) in -1..1."""
    latent, label = keras.Input((LATENT,)), keras.Input((), dtype="int32")
    x = keras.layers.Concatenate()([latent, keras.layers.Embedding(CLASSES, 16)(label)])
    x = keras.layers.Dense(4 * 4 * 64, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Reshape((4, 4, 64))(x)
    x = keras.layers.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    images = keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(x)
    return keras.Model([latent, label], images, name="generator")


def make_discriminator() -> keras.Model:
    """Return images and class ids -> how real each looks, as a logit (B, 1)."""
    image, label = keras.Input((8, 8, 1)), keras.Input((), dtype="int32")
    x = keras.layers.Conv2D(32, 3, padding="same")(image)
    x = keras.layers.Conv2D(64, 4, strides=2, padding="same")(keras.layers.LeakyReLU(0.2)(x))
    x = keras.layers.Flatten()(keras.layers.LeakyReLU(0.2)(x))
    x = keras.layers.LeakyReLU(0.2)(keras.layers.Dense(64)(keras.layers.Dropout(0.3)(x)))
    of_class = keras.layers.Dot(axes=1)([x, keras.layers.Embedding(CLASSES, 64)(label)])
    return keras.Model(
        [image, label], keras.layers.Add()([keras.layers.Dense(1)(x), of_class]), name="critic"
    )


class GAN(keras.Model):
    """A conditional GAN with the non-saturating loss, trained by `fit` on (images, class ids)."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = make_generator(), make_discriminator()
        self.seeds = keras.random.SeedGenerator(0)
        self.other_optimizer = keras.optimizers.Adam(5e-4, beta_1=0.5)
        # Labels a little below 1 keep the discriminator from growing too sure.
        self.real_or_not = keras.losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, data):
        images, labels = data
        images = tf.cast(images, "float32") / 127.5 - 1
        count = tf.shape(images)[0]
        latents = keras.random.normal((count, LATENT), seed=self.seeds)
        ones, zeros = tf.ones((count, 1)), tf.zeros((count, 1))
        with tf.GradientTape(persistent=True) as tape:
            made = self.generator([latents, labels], training=True)
            real = self.discriminator([images, labels], training=True)
            fake = self.discriminator([made, labels], training=True)
            critic_loss = self.real_or_not(0.9 * ones, real) + self.real_or_not(zeros, fake)
            generator_loss = self.real_or_not(ones, fake)
        for network, loss, optimizer in (
            (self.discriminator, critic_loss, self.other_optimizer),
            (self.generator, generator_loss, self.optimizer),
        ):
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
        return {"discriminator_loss": critic_loss, "generator_loss": generator_loss}


def kept(path: Path, make) -> keras.Model:
    """Return the network in `path`, made and put there first where it is missing."""
    if not path.exists():
        network = make()
        beside = path.with_name(f"unfinished-{path.name}")
        network.save(beside)
        beside.replace(path)
    # From the file in any case, so that a second run has the very same network.
    return keras.models.load_model(path, compile=False)


def train_teacher(splits, steps: int) -> keras.Model:
    teacher = kd_keras.models.resnet((8, 8, 1), CLASSES, depth=8, width=16, seed=0)
    model = Supervised(teacher, kd_keras.augment.digits(seed=0))
    model.compile(keras.optimizers.Adam(cosine(3e-3, steps)), LOSS)
    model.fit(splits.training(), steps_per_epoch=steps, shuffle=False, verbose=0)
    return teacher


def train_generator(splits, steps: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    gan = GAN()
    gan.compile(keras.optimizers.Adam(5e-4, beta_1=0.5))
    gan.fit(splits.training(), steps_per_epoch=steps, shuffle=False, verbose=0)
    return gan.generator


def train_student(teacher, batches, augmentation, label_weight: float, options, seed: int):
    student = kd_keras.models.resnet((8, 8, 1), CLASSES, depth=8, width=4, seed=seed)
    distiller = kd_keras.Distiller(
        teacher,
        student,
        kd_keras.losses.KLDivergence(temperature=4.0),
        student_loss_weight=label_weight,
        augmentation=augmentation,
    )
    distiller.compile(keras.optimizers.Adam(cosine(1e-2, options.steps)), LOSS)
    distiller.fit(batches, steps_per_epoch=options.steps, shuffle=False, verbose=0)
    return student


def cosine(rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def accuracy(model: keras.Model, dataset) -> float:
    return kd_keras.evaluate.accuracy(*kd_keras.evaluate.predict_logits(model, dataset))


def write_samples(generator: keras.Model, path: Path) -> None:
    """Write ten images of each class, a row for each, as a picture."""
    labels = np.repeat(np.arange(CLASSES), 10)
    latents = np.random.default_rng(0).normal(size=(100, LATENT)).astype("float32")
    images = np.asarray(generator([latents, labels], training=False))[..., 0]
    # A grey frame tells one image from the next.
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    sheet = framed.reshape(CLASSES, 10, 10, 10).transpose(0, 2, 1, 3).reshape(100, 100)
    picture = Image.fromarray(np.round((sheet + 1) * 127.5).astype("uint8"))
    picture.resize((600, 600), Image.Resampling.NEAREST).save(path)


def main(options: Options) -> None:
    console = Console()
    options.output.mkdir(parents=True, exist_ok=True)
    load = {"data_dir": options.data_dir, "batch_size": BATCH}
    splits = kd_keras.data.load("digits", **load)
    started = time.monotonic()
    teacher = kept(
        options.output / "teacher.keras", lambda: train_teacher(splits, options.teacher_steps)
    )
    generator = kept(
        options.output / "generator.keras", lambda: train_generator(splits, options.gan_steps)
    )
    write_samples(generator, options.output / "samples.png")
    asked = kd_keras.data.generated(generator, 500, num_classes=CLASSES, seed=10**6).take(2)
    asked = asked.apply(tf.data.experimental.assert_cardinality(2))
    console.print(
        f"Teacher and GAN after {time.monotonic() - started:.0f} s. Test accuracy of the teacher "
        f"{accuracy(teacher, splits.test):.3f}; it sees the class that was asked for in "
        f"{accuracy(teacher, asked):.3f} of 1000 generated images.",
        highlight=False,
    )

    rows: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        few = kd_keras.data.load("digits", **load, seed=seed, limit=options.limit)
        policy = kd_keras.augment.digits(seed=seed)
        made = kd_keras.data.generated(generator, BATCH, num_classes=CLASSES, seed=seed)
        views = kd_keras.augment.Generated(generator, 0.5, num_classes=CLASSES, seed=seed)
        for name, batches, augmentation, label_weight in (
            (f"{options.limit} real images", few.training(), policy, 0.1),
            (f"{options.limit} real + generated views", few.training(), [views, policy], 0.1),
            ("generated alone, unlabelled", made.map(lambda images, classes: images), policy, 0.0),
        ):
            started = time.monotonic()
            student = train_student(teacher, batches, augmentation, label_weight, options, seed)
            rows.setdefault(name, []).append(accuracy(student, splits.test))
            console.print(
                f"  seed {seed}, {name}: {rows[name][-1]:.3f} ({time.monotonic() - started:.0f} s)",
                highlight=False,
            )

    table = Table(title=f"Test accuracy after {options.steps} steps, {options.seeds} seeds")
    for heading in ("student trained on", "mean", "sd"):
        table.add_column(heading, justify="left" if heading.startswith("student") else "right")
    for name, values in rows.items():
        deviation = f"{statistics.stdev(values):.3f}" if len(values) > 1 else "-"
        table.add_row(name, f"{statistics.fmean(values):.3f}", deviation)
    console.print(table)
    samples = options.output / "samples.png"
    console.print(f"Samples of the generator: {samples}", highlight=False, markup=False)


if __name__ == "__main__":
    main(tyro.cli(Options))
