"""Training from a recording: as with the live teacher, and on nothing but what was recorded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import losses
from kd_keras.replay import ReplayTeacher, record
from tests.replay.conftest import EPOCHS, policy


def fit(distiller, data, epochs, steps=8, **options):
    options = {"verbose": 0, "shuffle": False, **options}
    return distiller.fit(data, steps_per_epoch=steps, epochs=epochs, **options).history


@pytest.mark.parametrize(
    "matched",
    [
        [losses.KLDivergence(4.0)],
        pytest.param(
            [
                losses.SoftCrossentropy(2.0),
                losses.ProbabilityMSE(1.0),
                losses.DecoupledKD(4.0),
                losses.DIST(1.0),
                losses.StandardizedKL(2.0),
                losses.HardLabel(),
                keras.distillation.LogitsDistillation(3.0, loss=keras.losses.KLDivergence()),
            ],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["KLDivergence", "others"],
)
def test_losses_have_the_values_that_they_have_with_the_live_teacher(
    teacher, splits, folder, make, matched
):
    replay = ReplayTeacher(folder)
    live = fit(make(teacher, matched), splits.training(), 1)
    replayed = fit(make(replay, matched, replay.augmentation), replay.training(splits), 1)
    own = len(matched) if len(matched) > 1 else 0
    assert set(live) == set(replayed) and len(live) == 7 + own
    for name, values in live.items():
        if name in ("agreement", "accuracy", "teacher_accuracy"):
            # One view of 500 that lies between two classes may fall to the other side.
            np.testing.assert_allclose(replayed[name], values, atol=0.0041)
        else:
            np.testing.assert_allclose(replayed[name], values, rtol=2e-3, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["xla", "mixed_float16", "mixed_bfloat16"])
def test_a_compiled_core_and_mixed_precision_learn_from_a_recording_as_from_the_teacher(
    teacher, splits, folder, make, how
):
    replay = ReplayTeacher(folder)
    options = {"jit_compile": True} if how == "xla" else {}
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("float32" if how == "xla" else how)
        live = fit(make(teacher, **options), splits.training(), 1)
        distiller = make(replay, augmentation=replay.augmentation, **options)
        replayed = fit(distiller, replay.training(splits), 1)
    finally:
        keras.config.set_dtype_policy(before)
    computes_in = "float32" if how == "xla" else how.removeprefix("mixed_")
    assert distiller.student.layers[-1].compute_dtype == computes_in
    for name in ("loss", "student_loss", "distillation_loss"):
        # Eight bits of a logit: the students drift apart by their own rounding.
        rtol = 2e-2 if how == "mixed_bfloat16" else 2e-3
        np.testing.assert_allclose(replayed[name], live[name], rtol=rtol, err_msg=name)


@pytest.mark.slow
def test_a_saved_distiller_goes_on_in_the_middle_several_steps_at_a_time(
    splits, folder, make, tmp_path
):
    replay = ReplayTeacher(folder)
    unbroken = make(replay, steps_per_execution=4)
    fit(unbroken, replay.training(splits), 1)
    unbroken.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    options = {"epochs": EPOCHS, "initial_epoch": 1}
    expected = fit(unbroken, replay.training(splits, first_epoch=1), **options)
    assert fit(loaded, loaded.teacher.training(splits, first_epoch=1), **options) == expected


@pytest.mark.slow
def test_a_checkpoint_within_an_epoch_goes_on_with_the_labels_of_its_step(
    splits, folder, make, tmp_path
):
    class Died(BaseException):
        pass

    class DieAtStep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 13:
                raise Died

    replay = ReplayTeacher(folder)
    expected = fit(make(replay), replay.training(splits), EPOCHS)

    def resumed(*callbacks):
        checkpoint = kd_keras.Checkpoint(tmp_path / "checkpoint.npz", every_steps=2)
        batches = checkpoint.batches(lambda first: replay.training(splits, first))
        return fit(make(replay), batches, EPOCHS, callbacks=[*callbacks, checkpoint])

    with pytest.raises(Died):
        resumed(DieAtStep())
    assert resumed() == expected


@pytest.mark.slow
def test_evaluation_measures_the_student_alone(splits, folder, make):
    replay = ReplayTeacher(folder)
    distiller = make(replay)
    history = fit(distiller, replay.training(splits), 1, validation_data=splits.validation)
    assert {n for n in history if n.startswith("val_")} == {"val_student_loss", "val_accuracy"}
    logits, labels = kd_keras.evaluate.predict_logits(distiller.student, splits.validation)
    assert history["val_accuracy"][0] == pytest.approx((logits.argmax(-1) == labels).mean())
    picked = tf.nn.log_softmax(logits).numpy()[np.arange(len(labels)), labels]
    assert history["val_student_loss"][0] == pytest.approx(-picked.mean(), rel=1e-5)


@pytest.mark.slow
def test_more_epochs_than_recorded_are_refused_or_come_again_on_request(splits, folder, make):
    replay = ReplayTeacher(folder)
    distiller = make(replay)
    with pytest.raises(ValueError, match="has 3 epochs, and more are asked for.*cycle=True"):
        fit(distiller, replay.training(splits), EPOCHS + 1)
    assert int(distiller.step) == EPOCHS * 8
    cycling = ReplayTeacher(folder, cycle=True)
    fit(make(cycling), cycling.training(splits), EPOCHS + 2)
    lap = next(iter(cycling.training(splits, first_epoch=EPOCHS + 1)))
    once = next(iter(replay.training(splits, first_epoch=1)))
    keras.tree.map_structure(np.testing.assert_array_equal, lap, once)
    with pytest.raises(ValueError, match="first_epoch=4"):
        replay.training(splits, first_epoch=4)


def test_what_was_not_recorded_stops_training_and_moves_nothing(splits, folder, make):
    replay = ReplayTeacher(folder)
    distiller = make(replay)
    data = replay.training(splits)

    def of_images(change):
        return data.map(lambda x, y: ({**x, "images": change(x["images"])}, y))

    one_pixel = tf.one_hot(5, 64, dtype=tf.uint8)[tf.newaxis]
    for wrong, said in (
        (of_images(lambda i: i + tf.reshape(one_pixel, (1, 8, 8, 1))), "rows that differ.*64 64 0"),
        (of_images(lambda i: tf.gather(i, tf.range(tf.shape(i)[0]) ^ 1)), "another order"),
        (data.skip(1), "of another step than the Distiller's.*first_epoch=k.* 1 0"),
        (replay.training(splits, first_epoch=1), "of another step.* 8 0"),
    ):
        with pytest.raises(ValueError, match=said):
            fit(distiller, wrong, 1)
    assert int(distiller.step) == 0
    fit(distiller, data, 1)
    assert int(distiller.step) == 8
    with pytest.raises(ValueError, match="carry no labels"):
        fit(distiller, splits.training(), 1)


def test_a_live_teacher_takes_no_recorded_labels(teacher, splits, folder, make):
    with pytest.raises(ValueError, match="carry recorded labels, and `teacher` is a live one"):
        fit(make(teacher), ReplayTeacher(folder).training(splits), 1)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda: losses.LogitsMSE(), "LogitsMSE needs raw logits"),
        (lambda: losses.InputGradient(), "InputGradient needs the teacher's gradient"),
        (
            lambda: losses.Hint(teacher_layer_name="hidden", student_layer_name="hidden"),
            "Hint matches features",
        ),
        (
            lambda: keras.distillation.LogitsDistillation(2.0, loss="mse"),
            "LogitsDistillation needs raw logits",
        ),
    ],
)
def test_losses_that_need_more_than_probabilities_are_refused_by_name(folder, make, loss, said):
    with pytest.raises(ValueError, match=said):
        make(ReplayTeacher(folder), loss())


def test_another_policy_is_refused_by_name(folder, make):
    replay = ReplayTeacher(folder)
    with pytest.raises(ValueError, match=r"config\.seed is 3 there and 4 here"):
        make(replay, augmentation=policy(seed=4))
    with pytest.raises(ValueError, match=r"it was \['Policy'\] there and is none here"):
        make(replay, augmentation=[])
    with pytest.raises(ValueError, match=r"another augmentation of ours.*RandomFlip"):
        make(replay, augmentation=keras.layers.RandomFlip())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 32}, "order.batch_size is 64 there and 32 here"),
        ({"seed": 1}, "order.seed is 0 there and 1 here"),
        ({"limit": 490}, "data.train_examples is 500 there and 490 here"),
        ({"image_size": 12}, r"inputs.shape\[0\] is 8 there and 12 here"),
    ],
)
def test_other_data_are_refused_by_name(folder, load, options, said):
    with pytest.raises(ValueError, match=said):
        ReplayTeacher(folder).training(load(**options))


SHIFT = {"by": 0}


@keras.saving.register_keras_serializable(package="tests")
def shifted(images):
    return tf.roll(images, SHIFT["by"], axis=1)


def test_a_policy_whose_code_changed_is_refused(teacher, splits, make, tmp_path, monkeypatch):
    changing = kd_keras.augment.Policy([shifted], seed=1)
    record(teacher, splits, tmp_path / "labels", epochs=1, augmentation=changing)
    replay = ReplayTeacher(tmp_path / "labels")
    make(replay, augmentation=changing)
    monkeypatch.setitem(SHIFT, "by", 1)
    with pytest.raises(ValueError, match="draws other views here than those that were recorded"):
        make(replay, augmentation=changing)


@pytest.mark.slow
def test_a_dataset_in_a_fixed_order_is_recorded_and_a_reshuffled_one_is_refused(
    teacher, splits, make, tmp_path
):
    x, y = (np.concatenate(part) for part in zip(*splits.validation, strict=True))
    weights = np.linspace(0, 2, len(x), dtype="float32")
    examples = tf.data.Dataset.from_tensor_slices((x.astype("float32"), y, weights))
    fixed = examples.batch(60)
    record(teacher, fixed, tmp_path / "labels", epochs=2, augmentation=policy())
    replay = ReplayTeacher(tmp_path / "labels")
    steps = int(fixed.cardinality())
    live = fit(make(teacher), fixed.repeat(), 2, steps)
    replayed = fit(make(replay), replay.training(fixed), 2, steps)
    np.testing.assert_allclose(replayed["loss"], live["loss"], rtol=2e-3)
    other = examples.shuffle(1000, seed=1).batch(60)
    with pytest.raises(ValueError, match="another order"):
        fit(make(replay), replay.training(other), 2, steps)


def test_a_recording_is_no_member_and_an_ensemble_can_be_recorded(
    teacher, splits, folder, make, tmp_path
):
    replay = ReplayTeacher(folder)
    other = keras.models.clone_model(teacher)
    with pytest.raises(ValueError, match="A recording cannot be one of several.*record all"):
        make(kd_keras.teachers.Ensemble({"live": other, "recorded": replay}))
    crowd = kd_keras.teachers.Ensemble({"one": teacher, "two": other}, weights="confidence")
    record(crowd, splits, tmp_path / "crowd", epochs=1, augmentation=policy())
    recorded = ReplayTeacher(tmp_path / "crowd")
    live = fit(make(crowd), splits.training(), 1)
    replayed = fit(make(recorded, augmentation=recorded.augmentation), recorded.training(splits), 1)
    np.testing.assert_allclose(replayed["distillation_loss"], live["distillation_loss"], rtol=2e-3)
