"""Networks of the user's own in a run: files and functions, whatever they take and give."""

import dataclasses
import io
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from kd_keras import data
from kd_keras.experiments import distill, networks
from kd_keras.experiments.history import best_epoch
from kd_keras.experiments.stages import prepare
from kd_keras.experiments.study import Study, run_study
from kd_keras.experiments.taking import is_taken_as_it_is
from kd_keras.recipes import Recipe

OWN_FUNCTION = """
import keras

@keras.saving.register_keras_serializable("mine")
class Halved(keras.layers.Layer):
    def call(self, x):
        return keras.ops.cast(x, "float32") / 510.0

def build(input_shape, num_classes):
    return keras.Sequential([
        keras.Input(input_shape), Halved(), keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu"), keras.layers.Dense(num_classes),
    ])

def no_network():
    return 3

class Odd(keras.layers.Layer):
    def __init__(self, factor):
        super().__init__()

    def call(self, x):
        return x

def misnamed(*, classes):
    return build((8, 8, 1), classes)

def unnamed(input_shape, num_classes, /):
    return build(input_shape, num_classes)

def any_names(**given):
    return build(given["input_shape"], given["num_classes"])

def fails(input_shape):
    return {}["a key"]

ONCE = build((8, 8, 1), 10)

def again():
    return ONCE

@keras.saving.register_keras_serializable("mine")
class Subclassed(keras.Model):
    def __init__(self, **given):
        super().__init__(**given)
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)

    def call(self, x):
        return self.dense(self.flatten(x))

def subclassed():
    return Subclassed()

@keras.saving.register_keras_serializable("mine")
class NeedsMore(Subclassed):
    def call(self, x, training):
        return super().call(x)

def needs_more():
    return NeedsMore()

@keras.saving.register_keras_serializable("mine")
def halved(x):
    return x / 2

def without_lambda(input_shape, num_classes):
    made = keras.Sequential([keras.Input(input_shape), keras.layers.Lambda(halved),
                             keras.layers.Flatten(), keras.layers.Dense(num_classes)])
    made.load_weights("lambda.keras")
    return made

def unsavable(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), Odd(2), keras.layers.Flatten(),
                             keras.layers.Dense(num_classes)])
"""


def network(size, channels, ending):
    x = images = keras.Input((size, size, channels))
    x = keras.layers.Flatten()(x)
    if ending == "softmax layer":
        outputs = keras.layers.Softmax()(keras.layers.Dense(10)(x))
    elif ending == "softmax op":
        outputs = keras.ops.softmax(keras.layers.Dense(10)(x))
    elif ending == "softmax":
        outputs = keras.layers.Dense(10, activation="softmax")(x)
    else:
        outputs = keras.layers.Dense(10)(x)
    return keras.Model(images, outputs)


@pytest.fixture
def recipe():
    return Recipe(
        dataset="digits", teacher="mlp8", student="mlp4", policy="none", limit=256,
        teacher_epochs=1, epochs=3, batch_size=64, optimizer="adam",
        teacher_learning_rate=0.01, learning_rate=0.01,
    )  # fmt: skip


@pytest.fixture(scope="module")
def splits(data_dir):
    return data.load("digits", data_dir=data_dir, batch_size=64)


def run(recipe, folder, data_dir, **options):
    output = io.StringIO()
    console = Console(file=output, width=200)
    report = distill(
        recipe, folder, data_dir=data_dir, robustness=False, console=console, **options
    )
    return report, output.getvalue()


@pytest.mark.parametrize("ending", ["logits", "softmax", "softmax layer", "softmax op"])
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (12, 3), (8, 3)])
def test_a_file_takes_raw_images_of_the_data_and_gives_logits(
    ending, size, channels, recipe, splits, tmp_path
):
    own = network(size, channels, ending)
    own.save(tmp_path / "own.keras")
    stage = dataclasses.replace(
        recipe, teacher=str(tmp_path / "own.keras"), teacher_value_range=(-1.0, 1.0)
    ).stage("teacher")
    fitted = networks.build(stage, recipe, splits.info)
    x, _ = next(iter(splits.validation))
    assert fitted.input_shape == (None, 8, 8, 1)
    by_hand = keras.ops.repeat(keras.ops.cast(x, "float32") / 127.5 - 1.0, channels, axis=-1)
    by_hand = keras.ops.image.resize(by_hand, (size, size)) if size != 8 else by_hand
    theirs = np.asarray(own(by_hand))
    mine = np.asarray(fitted(keras.ops.cast(x, "float32")))
    # Their log-probabilities are logits up to a constant.
    probabilities = theirs if ending != "logits" else np.asarray(keras.ops.softmax(theirs))
    np.testing.assert_allclose(np.asarray(keras.ops.softmax(mine)), probabilities, atol=2e-5)
    assert ending != "logits" or np.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 8), (64,)])
def test_a_network_for_rows_of_numbers_gets_them(shape, recipe, splits):
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(10)]
    own = keras.Sequential(layers)
    fitted = networks.fitted(own, recipe.stage("teacher"), splits.info)
    x = keras.ops.cast(next(iter(splits.validation))[0], "float32")
    expected = own(keras.ops.reshape(x, (-1, *shape)))
    np.testing.assert_allclose(np.asarray(fitted(x)), np.asarray(expected), rtol=1e-6)


def test_a_network_of_whole_numbers_takes_no_other_range(recipe, splits):
    whole = keras.Input((8, 8, 1), dtype="uint8")
    x = keras.layers.Flatten()(keras.ops.cast(whole, "float32"))
    own = keras.Model(whole, keras.layers.Dense(10)(x))
    given = dataclasses.replace(recipe, student="own.keras", student_value_range=(0, 1))
    with pytest.raises(ValueError, match="whole numbers, which are 0 to 255.*takes uint8"):
        networks.fitted(own, given.stage("student"), splits.info)
    networks.fitted(own, recipe.stage("student"), splits.info)


def test_a_network_that_fits_is_used_as_it_is(recipe, splits, tmp_path):
    network(8, 1, "logits").save(tmp_path / "own.keras")
    stage = dataclasses.replace(recipe, student=str(tmp_path / "own.keras")).stage("student")
    assert len(networks.build(stage, recipe, splits.info).layers) == 3


def test_one_sigmoid_unit_is_two_classes(recipe, splits):
    own = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    )
    info = dataclasses.replace(splits.info, num_classes=2, class_names=("no", "yes"))
    fitted = networks.fitted(own, recipe.stage("teacher"), info)
    x = np.random.default_rng(0).uniform(0, 1, (5, 8, 8, 1)).astype("float32")
    probabilities = np.asarray(keras.ops.softmax(fitted(x)))
    np.testing.assert_allclose(probabilities[:, 1:], np.asarray(own(x)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.keras", "must be a .keras file that exists"),
        ("mymodels.py:nothing", "there is no 'nothing' in it"),
        ("mymodels.py:no_network", "returns a keras.Model.*which returns int"),
        ("mymodels.py:unsavable", "register_keras_serializable"),
        ("mymodels.py:again", "a new network at each call.*Make it inside of the function"),
        ("other.py:build", "names a Python file that does not exist"),
        ("no_such_module:build", "a module that cannot be imported.*Give its file"),
        ("wide.keras", "has 10. Received.*with 3 outputs.*Frozen"),
        ("two.keras", "must have one output of shape"),
        ("tall.keras", "must have one input that takes images of the data.*mymodels.py:build"),
        ("resnet7", "must be one of the forms|depth"),
    ],
)
def test_what_is_no_network_for_the_data_is_refused_before_anything_is_trained(
    name, said, recipe, data_dir, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodels.py").write_text(OWN_FUNCTION)
    x = keras.Input((8, 8, 1))
    wide = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    keras.Model(x, wide).save(tmp_path / "wide.keras")
    keras.Model(x, [wide, wide]).save(tmp_path / "two.keras")
    tall = keras.Input((8, 8, 2))
    tall_logits = keras.layers.Dense(10)(keras.layers.Flatten()(tall))
    keras.Model(tall, tall_logits).save(tmp_path / "tall.keras")
    with pytest.raises(ValueError, match=f"(?s){said}"):
        run(dataclasses.replace(recipe, student=name), tmp_path / "run", data_dir)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mymodels.py:misnamed", "needs nothing but input_shape, num.*which needs classes. Call"),
        ("mymodels.py:unnamed", "which needs input_shape, num_classes. Call that by"),
        ("mymodels.py:fails", r"fails: KeyError: 'a key' \(mymodels.py, line \d+\).*--debug"),
        ("mymodels.py:needs_more", "'training'.*a default, as in `def call"),
        ("syntax.py:build", r"fails: SyntaxError: .*\(syntax.py"),
    ],
)
def test_what_a_function_does_wrong_is_said_in_our_words(
    name, said, recipe, splits, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodels.py").write_text(OWN_FUNCTION)
    (tmp_path / "syntax.py").write_text("def build(:")
    own = dataclasses.replace(recipe, student=name)
    with pytest.raises(ValueError, match=f"(?s){said}"):
        networks.build(own.stage("student"), own, splits.info)


@pytest.mark.parametrize("name", ["mymodels.py:any_names", "mymodels.py:subclassed", "open.keras"])
def test_networks_that_are_built_here_begin_alike_alone_and_distilled(
    name, recipe, splits, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodels.py").write_text(OWN_FUNCTION)
    keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)]).save("open.keras")
    own = dataclasses.replace(recipe, student=name)
    alone, taught = (
        networks.build(own.stage(stage), own, splits.info) for stage in ("student_alone", "student")
    )
    assert networks.image_size_of(own) is None
    assert alone.output_shape == (None, 10)
    assert len(alone.get_weights()) >= 2
    for mine, theirs in zip(alone.get_weights(), taught.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_file_with_a_lambda_is_refused_and_a_function_takes_its_weights(
    recipe, splits, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodels.py").write_text(OWN_FUNCTION)
    layers = [keras.layers.Lambda(lambda x: x / 2), keras.layers.Flatten(), keras.layers.Dense(10)]
    with_lambda = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    with_lambda.save("lambda.keras")
    own = dataclasses.replace(recipe, student="lambda.keras")
    with pytest.raises(ValueError, match="holds Python code.*`load_weights`") as refused:
        networks.build(own.stage("student"), own, splits.info)
    assert "safe_mode" not in str(refused.value)
    own = dataclasses.replace(recipe, student="mymodels.py:without_lambda")
    built = networks.build(own.stage("student"), own, splits.info)
    x = keras.ops.cast(next(iter(splits.validation))[0], "float32")
    np.testing.assert_allclose(np.asarray(built(x)), np.asarray(with_lambda(x)), rtol=1e-6)


def test_a_file_with_dropout_draws_alike_alone_and_distilled(recipe, splits, tmp_path):
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / "own.keras")
    own = dataclasses.replace(recipe, student=str(tmp_path / "own.keras"))
    x = keras.ops.cast(next(iter(splits.validation))[0], "float32")
    drawn = [
        np.asarray(networks.build(own.stage(name), own, splits.info)(x, training=True))
        for name in ("student_alone", "student")
    ]
    np.testing.assert_array_equal(*drawn)
    other = dataclasses.replace(own, seed=1)
    third = networks.build(other.stage("student"), other, splits.info)(x, training=True)
    assert not np.array_equal(drawn[0], np.asarray(third))


def test_a_function_finds_modules_beside_its_file_and_where_one_works(
    recipe, splits, tmp_path, monkeypatch
):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "units_beside.py").write_text("UNITS = 5")
    (tmp_path / "units_here.py").write_text("UNITS = 6")
    (tmp_path / "lib" / "nets.py").write_text(
        "import keras, units_beside\n"
        "def build(input_shape, num_classes):\n"
        "    import units_here\n"
        "    layers = [keras.layers.Dense(m.UNITS) for m in (units_beside, units_here)]\n"
        "    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), *layers,\n"
        "                             keras.layers.Dense(num_classes)])\n"
    )
    monkeypatch.chdir(tmp_path)
    own = dataclasses.replace(recipe, student="lib/nets.py:build")
    built = networks.build(own.stage("student"), own, splits.info)
    assert [layer.units for layer in built.layers[1:]] == [5, 6, 10]


def test_channels_in_front_are_refused(recipe, splits):
    own = keras.Sequential([keras.Input((1, 8, 8)), keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(ValueError, match="must have one input that takes images of the data"):
        networks.fitted(own, recipe.stage("teacher"), splits.info)


def test_a_range_is_of_networks_of_ones_own(recipe, data_dir):
    with pytest.raises(ValueError, match="`student_value_range` is of networks of your own"):
        prepare(dataclasses.replace(recipe, student_value_range=(0, 1)), data_dir)


@pytest.fixture(scope="module")
def teacher_file(splits, tmp_path_factory):
    """A teacher of an existing project: three channels in 0..1, and a softmax at its end."""
    path = tmp_path_factory.mktemp("own") / "my_teacher.keras"
    teacher = network(8, 3, "softmax")
    teacher.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    images, labels = (
        np.concatenate(part) for part in zip(*splits.train.as_numpy_iterator(), strict=True)
    )
    teacher.fit(np.repeat(images / 255.0, 3, -1), labels, epochs=12, batch_size=64, verbose=0)
    teacher.save(path)
    return path


@pytest.mark.slow
def test_a_teacher_file_and_a_function_are_distilled_exported_and_told(
    recipe, teacher_file, data_dir, tmp_path, command, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodels.py").write_text(OWN_FUNCTION)
    done = command(
        *("distill", "digits", "--teacher", teacher_file, "--teacher-value-range", 0, 1),
        *("--student", "mymodels.py:build", "--epochs", 3, "--policy", "none"),
        *("--optimizer", "adam", "--learning-rate", 0.01, "--keep", "best"),
        *("--data-dir", data_dir, "--no-robustness", "--output", "run"),
    )
    assert (done.code, done.err) == (0, "")
    assert "Teacher my_teacher.keras: taken as it is, 9" in done.out
    assert "my_teacher.keras teaches mymodels.py:build" in done.out
    kept = keras.models.load_model(tmp_path / "run" / "student.keras")
    history = [float(v) for v in done.out.split() if v.startswith("0.")]
    assert kept.output_shape == (None, 10)
    assert history
    page = (tmp_path / "run" / "report.json").read_text()
    assert str(teacher_file.parent) not in page
    # Another file in its place is another run, finished or not.
    network(8, 3, "softmax").save(teacher_file.parent / "other.keras")
    before = teacher_file.read_bytes()
    teacher_file.write_bytes((teacher_file.parent / "other.keras").read_bytes())
    try:
        again = command(
            *("distill", "digits", "--teacher", teacher_file, "--teacher-value-range", 0, 1),
            *("--student", "mymodels.py:build", "--epochs", 3, "--policy", "none"),
            *("--optimizer", "adam", "--learning-rate", 0.01, "--keep", "best"),
            *("--data-dir", data_dir, "--no-robustness", "--output", "run"),
        )
    finally:
        teacher_file.write_bytes(before)
    assert again.code == 1
    assert "results of other data: the digest of the network's file 'teacher' is" in again.err


@pytest.fixture(scope="module")
def centroids(splits, tmp_path_factory):
    """Teachers without a training: the nearest mean image, of images in 0 to 1."""
    folder = tmp_path_factory.mktemp("centroids")
    images, labels = (
        np.concatenate(part) for part in zip(*splits.train.as_numpy_iterator(), strict=True)
    )
    images = images.reshape(len(images), -1) / 255.0
    means = np.stack([images[labels == label].mean(0) for label in range(10)], -1)
    for name, order in (("right", 0), ("rolled", 1)):
        teacher = network(8, 1, "logits")
        weights = np.roll(means, order, -1)
        teacher.layers[-1].set_weights([20 * weights, -10 * (weights**2).sum(0)])
        teacher.save(folder / f"{name}.keras")
    return folder


def _stop(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["right"], r"in 0 to 255 \(NLL .*right with images in 0 to 1 \(.*-value-range 0 1 on the"),
        (["rolled"], r"near chance.*another range \(tried: 0 to 255, 0 to 1, -1 to 1;.*order"),
        (["right", "--teacher-value-range", 0, 1], None),
        (["rolled", "--train-teacher", "no"], None),
    ],
)
def test_a_teacher_that_seems_not_to_know_the_data_stops_before_anything_is_trained(
    options, said, centroids, data_dir, tmp_path, command, monkeypatch
):
    (name, *options), folder = options, tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("kd_keras.experiments.stages.train_networks", _stop)
        done = command(
            *("distill", "digits", "--teacher", centroids / f"{name}.keras", "--student", "mlp4"),
            *("--data-dir", data_dir, "--output", folder, *options),
        )
    if said is None:
        assert (done.code, folder.exists()) == (130, True), done.err
    else:
        assert (done.code, folder.exists()) == (1, False)
        assert re.search(said, done.err), done.err


def test_a_teacher_that_is_taken_nevertheless_is_said_how_good_it_is(
    recipe, centroids, data_dir, tmp_path
):
    console = Console(file=io.StringIO(), width=200)
    teacher = str(centroids / "right.keras")
    material = prepare(dataclasses.replace(recipe, teacher=teacher, train_teacher="no"), data_dir)
    stage = material.recipe.stage("teacher")
    assert is_taken_as_it_is(material, stage, console)
    right, _ = material.scores(stage)[0.0, 255.0]
    assert f"taken as it is, {100 * right:.2f} % of the validation" in console.file.getvalue()
    assert "pass --teacher-value-range 0 1" in console.file.getvalue()


def test_a_study_of_such_a_teacher_leaves_nothing(recipe, centroids, data_dir, tmp_path):
    of_teacher = dataclasses.replace(recipe, teacher=str(centroids / "rolled.keras"))
    with pytest.raises(ValueError, match="near chance"):
        run_study(Study(recipe=of_teacher), tmp_path / "study", data_dir=data_dir)
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_comes_through_an_interruption(
    recipe, data_dir, tmp_path, monkeypatch
):
    # A rate so high that later epochs are worse.
    recipe = dataclasses.replace(
        recipe, student="mlp16", keep="best", epochs=6, learning_rate=0.05, schedule="constant"
    )
    report, told = run(recipe, tmp_path / "unbroken", data_dir)
    history = report.histories["student"]["val_accuracy"]
    best = 1 + int(np.argmax(history))
    assert best < 6, "the example must get worse after its best epoch"
    assert f"Student mlp16 with teacher mlp8: kept as after epoch {best} of 6" in told
    assert f"student {best}" in report.recipe["kept_epochs"]
    splits = prepare(recipe, data_dir).splits
    kept = keras.models.load_model(tmp_path / "unbroken" / "student.keras")
    kept.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy")
    assert kept.evaluate(splits.validation, verbose=0)[1] == pytest.approx(history[best - 1])
    assert not list((tmp_path / "unbroken").glob("best_*"))

    from kd_keras.report.progress import TrainingProgress

    shown = TrainingProgress.epoch

    def stop(self, number, logs):
        shown(self, number, logs)
        if number == best + 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, tmp_path / "broken", data_dir)
    for _ in range(3):
        try:
            broken, _ = run(recipe, tmp_path / "broken", data_dir)
        except KeyboardInterrupt:
            continue
    assert broken.histories == report.histories
    for mine, theirs in zip(
        keras.models.load_model(tmp_path / "broken" / "student.keras").get_weights(),
        kept.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_of_equal_epochs_the_first_is_the_best():
    assert best_epoch([{"val_accuracy": a} for a in (0.1, 0.5, 0.5, 0.2)]) == 2


def test_a_run_notes_the_digests_of_the_users_own_files(recipe, data_dir, tmp_path):
    network(8, 1, "logits").save(tmp_path / "own.keras")
    material = prepare(dataclasses.replace(recipe, student=str(tmp_path / "own.keras")), data_dir)
    (digest,) = material.identity()["own_networks"].values()
    assert len(digest) == 64
    assert "own_networks" not in prepare(recipe, data_dir).identity()


FEATURES = "teacher_layer_name='features', student_layer_name='features'"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student": "frozen.keras"}, "`student` has no trainable weights.*trainable = True"),
        ({"teacher": "frozen.keras", "train_teacher": "yes"}, "`teacher` has no trainable weights"),
        ({"losses": ("AttentionTransfer",)}, "AttentionTransfer compares feature maps"),
        ({"losses": (f"CorrelationCongruence({FEATURES})",)}, "student's features from the"),
        (
            {"losses": (f"InputGradient({FEATURES})",)},
            "InputGradient needs teacher and student logits of one shape",
        ),
    ],
)
def test_what_a_student_cannot_learn_is_refused_before_anything_is_trained(
    changes, said, recipe, data_dir, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    frozen = network(8, 1, "logits")
    frozen.trainable = False
    frozen.save("frozen.keras")
    with pytest.raises(ValueError, match=f"(?s){said}"):
        run(dataclasses.replace(recipe, **changes), tmp_path / "run", data_dir)
    assert not (tmp_path / "run").exists()
