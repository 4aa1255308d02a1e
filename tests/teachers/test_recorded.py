"""A teacher whose answers come from elsewhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import archives
from kd_keras.losses import KLDivergence, LogitsMSE
from kd_keras.teachers import Recorded

IDS = np.array([30, 10, 20, 40])
LOGITS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
PROBABILITIES = np.asarray(keras.ops.softmax(LOGITS))


def network(*shape, seed=1):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)]
    return keras.Sequential(layers)


def distiller(teacher, loss=None, student=None, **options):
    made = kd_keras.Distiller(teacher, student or network(4), loss or KLDivergence(2.0), **options)
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def batches(x, y):
    """Return a dataset, as names come: Keras takes no arrays of text."""
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)


def data(ids, shape=(4,)):
    x = np.random.default_rng(1).normal(size=(len(ids), *shape)).astype("float32")
    return {"x": x, "sample_index": np.asarray(ids)}


@pytest.mark.parametrize("form", ["logits", "probabilities"])
@pytest.mark.parametrize("kind", [np.int32, str, bytes])
def test_each_example_is_taught_by_its_own_answer(form, kind):
    def named(ids):
        if kind is bytes:
            return np.array([f"{i}.png".encode() for i in ids])
        return [f"{i}.png" for i in ids] if kind is str else np.asarray(ids, kind)

    answers = LOGITS if form == "logits" else PROBABILITIES
    made = distiller(Recorded.from_arrays(named(IDS), **{form: answers}))
    x = data([10, 40, 10, 30])
    x["sample_index"] = np.array(named([10, 40, 10, 30]))
    labels = LOGITS[[1, 3, 1, 0]].argmax(-1)

    student = np.asarray(made.student(x["x"]))
    logs = made.fit(batches(x, labels), verbose=0).history
    expected = KLDivergence(2.0).compute_loss(LOGITS[[1, 3, 1, 0]], student)
    assert logs["distillation_loss"][0] == pytest.approx(float(expected), rel=1e-4)
    assert logs["teacher_accuracy"] == [1.0]


def test_losses_that_need_raw_logits_need_logits():
    with pytest.raises(ValueError, match="LogitsMSE needs raw logits, and only the answers"):
        distiller(Recorded(IDS, PROBABILITIES, "probabilities"), LogitsMSE())
    distiller(Recorded(IDS, LOGITS), LogitsMSE())


def test_a_missing_answer_or_number_stops_training_by_name():
    made = distiller(Recorded(IDS, LOGITS))
    with pytest.raises(Exception, match=r"(?s)has no answer for some examples.*77"):
        made.fit(data([10, 77]), np.zeros(2), verbose=0)
    with pytest.raises(ValueError, match="'sample_index': ids"):
        distiller(Recorded(IDS, LOGITS)).fit(data([10])["x"], np.zeros(1), verbose=0)
    with pytest.raises(ValueError, match="kind of the ids.*int64.*string"):
        distiller(Recorded(IDS, LOGITS)).fit(batches(data(["a"]), np.zeros(1)), verbose=0)


def test_numbers_that_are_not_whole_are_refused_and_not_cut():
    x = data(IDS)
    x["sample_index"] = IDS.astype("float64")
    with pytest.raises(ValueError, match="kind of the ids.*int64.*float"):
        distiller(Recorded(IDS, LOGITS)).fit(x, np.zeros(4), verbose=0)
    with pytest.raises(ValueError, match="`ids` must be the number or the name"):
        Recorded(np.array([2**63], "uint64"), np.ones((1, 3)))


def test_predicting_asks_for_no_answer():
    made = distiller(Recorded(IDS, LOGITS))
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(True), jit_compile=True)
    x = data([1, 2])
    np.testing.assert_allclose(
        made.predict(x, verbose=0), made.student.predict(x["x"], verbose=0), rtol=1e-5
    )
    wrong = {**data(IDS), "sample_index": np.ones((4, 2), int)}
    with pytest.raises(ValueError, match=r"one number or name for each example.*2\)"):
        distiller(Recorded(IDS, LOGITS)).fit(wrong, np.zeros(4), verbose=0)


def test_data_without_numbers_are_measured_without_the_teacher():
    made = distiller(Recorded(IDS, LOGITS))
    x = data(IDS)
    logs = made.fit(x, np.zeros(4), validation_data=(x["x"], np.zeros(4)), verbose=0).history
    assert "val_student_loss" in logs
    assert "val_distillation_loss" not in logs
    with_answers = made.evaluate(x, np.zeros(4), verbose=0, return_dict=True)
    assert with_answers["distillation_loss"] > 0


def test_answers_follow_the_examples_through_views_and_mixing_is_refused():
    from kd_keras.augment import GaussianNoise, MixUp, Policy

    x = data(IDS, (4, 4, 1))
    x["x"] = np.clip(128 + 40 * x["x"], 0, 255)
    student = network(4, 4, 1)
    made = distiller(
        Recorded(IDS, LOGITS), student=student, augmentation=Policy([GaussianNoise(0.1)], seed=1)
    )
    made.fit(x, LOGITS.argmax(-1), verbose=0)
    mixing = Policy([MixUp(1.0)], seed=1)
    with pytest.raises(ValueError, match="mixes two into one view.*Leave MixUp"):
        distiller(Recorded(IDS, LOGITS), student=network(4, 4, 1), augmentation=mixing).fit(
            x, np.zeros(4), verbose=0
        )


def test_it_is_saved_with_the_distiller(tmp_path):
    answers = [[0.9, 0.1, 0], [0.2, 0.3, 0.5]]
    made = distiller(Recorded.from_arrays(["a", "b"], probabilities=answers))
    x = batches(data(["a", "b"]), np.zeros(2))
    made.fit(x, verbose=0)
    made.save(tmp_path / "distiller.keras")
    again = keras.models.load_model(tmp_path / "distiller.keras")
    np.testing.assert_array_equal(
        again.teacher.answers_of(["b", "a"]), made.teacher.answers_of(["b", "a"])
    )
    assert again.evaluate(x, verbose=0) == made.evaluate(x, verbose=0)


def test_a_forest_teaches_from_each_kind_of_file(tmp_path):
    import pyarrow
    from pyarrow import csv, parquet

    ids, names = [f"e{i}" for i in range(4)], ["p0", "p1", "p2"]
    columns = {"key": ids, **{n: PROBABILITIES[:, k].astype(float) for k, n in enumerate(names)}}
    csv.write_csv(pyarrow.table(columns), tmp_path / "a.csv")
    lists = {"key": ids, "p": [row.tolist() for row in PROBABILITIES.astype(float)]}
    parquet.write_table(pyarrow.table(lists), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", key=np.array(ids), p=PROBABILITIES)
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for name, row in zip(ids, PROBABILITIES, strict=True):
            feature = {
                "key": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
                "p": tf.train.Feature(float_list=tf.train.FloatList(value=row)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())

    for file, columns in (("csv", names), ("parquet", "p"), ("npz", "p"), ("tfrecord", "p")):
        teacher = Recorded.from_file(tmp_path / f"a.{file}", ids="key", probabilities=columns)
        np.testing.assert_allclose(
            teacher.answers_of(["e2", "e0"]), np.log(PROBABILITIES[[2, 0]]), rtol=1e-5, err_msg=file
        )
        with pytest.raises(ValueError, match=rf"a\.{file}' has no id, only .*key"):
            Recorded.from_file(tmp_path / f"a.{file}", probabilities=columns)
    ragged = {"key": ids, "p": [[0.5, 0.5], [1.0], [0.5, 0.5], None]}
    parquet.write_table(pyarrow.table(ragged), tmp_path / "ragged.parquet")
    with pytest.raises(ValueError, match="'p' must hold numbers, or lists of numbers of one"):
        Recorded.from_file(tmp_path / "ragged.parquet", ids="key", logits="p")
    csv.write_csv(pyarrow.table({"key": ids, "p": ["[0.1, 0.9]"] * 4}), tmp_path / "text.csv")
    with pytest.raises(ValueError, match="'p' must hold numbers"):
        Recorded.from_file(tmp_path / "text.csv", ids="key", logits="p")
    (tmp_path / "b.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"b\.npz' cannot be read"):
        Recorded.from_file(tmp_path / "b.npz", logits="p")
    with pytest.raises(ValueError, match=r"ends in \.npz, \.csv.*b\.json"):
        Recorded.from_file(tmp_path / "b.json", logits="p")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"ids": [1, 1], "logits": np.ones((2, 3))}, r"each example once.*\[1\]"),
        ({"ids": [1.5, 2], "logits": np.ones((2, 3))}, "`ids` must be the number or the name"),
        ({"ids": [1, 2], "logits": np.ones(2)}, "one row of classes for each of the 2 ids"),
        ({"ids": [1, 2], "logits": [[1, 2], [np.nan, 1]]}, "finite.*such as the id 2"),
        ({"ids": [1], "probabilities": [[2.0, 1.0]]}, "sum to 1.*Logits go to `logits`"),
        ({"ids": [1], "probabilities": [[0.7, 0.7]]}, "sums from 1.4"),
        ({"ids": [1]}, "Pass either `logits` or `probabilities`. Received: neither"),
    ],
)
def test_what_cannot_be_an_answer_is_refused_by_name(arguments, said):
    with pytest.raises(ValueError, match=f"(?s){said}"):
        Recorded.from_arrays(**arguments)


def test_few_bytes_of_a_parquet_file_that_stand_for_many_are_refused(tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    monkeypatch.setattr(archives, "_FREE_BYTES", 2**16)
    path, many = tmp_path / "bomb.parquet", np.zeros(200_000)
    parquet.write_table(pyarrow.table({"id": many.astype(int), "p": many, "q": many}), path)
    assert path.stat().st_size < 2**13
    with pytest.raises(ValueError, match=r"bomb\.parquet' cannot be read: .* 4,800,000 bytes from"):
        Recorded.from_file(path, logits=["p", "q"])
    ids = pyarrow.array(["x" * 2**15] * 64).dictionary_encode()
    parquet.write_table(pyarrow.table({"id": ids, "p": many[:64], "q": many[:64]}), path)
    with pytest.raises(ValueError, match="2,097,152 bytes from"):
        Recorded.from_file(path, logits=["p", "q"])
    texts = pyarrow.array([["x" * 2**15] * 64] * 2)
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "p": texts}), path)
    with pytest.raises(ValueError, match="'p' must hold numbers, and holds text"):
        Recorded.from_file(path, logits="p")


def test_answers_of_no_classes_are_refused():
    with pytest.raises(ValueError, match=r"one row of classes for each.*shape \(2, 0\)"):
        Recorded.from_arrays([1, 2], logits=np.zeros((2, 0)))
