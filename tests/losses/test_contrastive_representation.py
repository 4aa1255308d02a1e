"""CRD against NumPy: values, banks, Z, and how the numbers of the examples come in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import ContrastiveRepresentation, noise_contrast
from tests.conftest import sparse_crossentropy
from tests.losses.test_in_batch_contrast import unit

SAMPLES, NEGATIVES, T, MOMENTUM = 8, 6, 0.2, 0.3


def make_loss(**kwargs):
    keras.utils.set_random_seed(0)
    loss = ContrastiveRepresentation(
        SAMPLES, negatives=NEGATIVES, temperature=T, momentum=MOMENTUM, dimensions=4, **kwargs
    )
    loss.build((None, 5), (None, 3))
    return loss


def features(seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=(3, width)).astype("float32") for width in (5, 3)]


def embeddings(loss, teacher, student):
    return [
        unit(rows @ np.array(layer.linear.kernel))
        for layer, rows in ((loss.teacher_embedding, teacher), (loss.student_embedding, student))
    ]


def numpy_value(anchor, bank, index, drawn, log_z, same=None):
    """One direction, as the reference writes it: probabilities, no logarithms before the end."""
    chosen = np.concatenate([index[:, None], drawn], 1)
    powers = np.exp(np.einsum("bkd,bd->bk", bank[chosen], anchor) / T)
    z = powers.mean() * SAMPLES if log_z is None else np.exp(log_z)
    h, noise = powers / z, NEGATIVES / SAMPLES
    terms = np.log(noise / (h[:, 1:] + noise + 1e-7))
    negatives = terms.sum(1)
    if same is not None:
        negatives = (terms * ~same).sum(1) * NEGATIVES / (~same).sum(1)
    return -np.log(h[:, 0] / (h[:, 0] + noise + 1e-7)) - negatives, np.log(z)


def drawn_by(loss):
    """What the next training step draws; the random state is put back."""
    state = np.array(loss.memory.seeds.state)
    drawn = np.array(loss.memory.draw(3, NEGATIVES, True))
    loss.memory.seeds.state.assign(state)
    return drawn


def test_two_steps_against_numpy():
    loss = make_loss()
    memory = loss.memory
    log_z = [None, None]
    for step, index in enumerate(([1, 5, 2], [5, 0, 7])):
        index = np.array(index)
        teacher, student = features(step)
        t, s = embeddings(loss, teacher, student)
        banks = [np.array(memory.teacher_bank), np.array(memory.student_bank)]
        drawn = drawn_by(loss)
        to_teacher, log_z[0] = numpy_value(s, banks[0], index, drawn, log_z[0])
        to_student, log_z[1] = numpy_value(t, banks[1], index, drawn, log_z[1])
        values = loss.per_example(teacher, student, sample_index=index, training=True)
        np.testing.assert_allclose(values, to_teacher + to_student, rtol=1e-4)
        assert float(memory.log_z_student) == pytest.approx(log_z[0], rel=1e-5)
        assert float(memory.log_z_teacher) == pytest.approx(log_z[1], rel=1e-5)
        for bank, old, new in zip(
            (memory.teacher_bank, memory.student_bank), banks, (t, s), strict=True
        ):
            expected = old.copy()
            expected[index] = unit(MOMENTUM * old[index] + (1 - MOMENTUM) * new)
            np.testing.assert_allclose(bank, expected, rtol=1e-5)
    assert np.any(drawn_by(loss) != drawn)


def test_an_evaluation_needs_no_numbers_moves_nothing_and_repeats_itself():
    loss = make_loss()
    before = [np.array(variable) for variable in loss.memory.variables]
    values = loss.per_example(*features())
    np.testing.assert_array_equal(values, loss.per_example(*features()))
    for variable, old in zip(loss.memory.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_negatives_of_the_same_class_count_nothing_once_they_were_seen():
    loss = make_loss(other_classes_only=True)
    index, y = np.array([1, 5, 2]), np.array([0, 1, 0])
    loss.per_example(*features(), y=y, sample_index=index, training=True)
    np.testing.assert_array_equal(loss.memory.labels, [-1, 0, 0, -1, -1, 1, -1, -1])
    teacher, student = features(1)
    t, s = embeddings(loss, teacher, student)
    drawn = drawn_by(loss)
    same = np.array(loss.memory.labels)[drawn] == y[:, None]
    assert same.any()
    expected = 0.0
    for anchor, bank, z in (
        (s, loss.memory.teacher_bank, loss.memory.log_z_student),
        (t, loss.memory.student_bank, loss.memory.log_z_teacher),
    ):
        expected = expected + numpy_value(anchor, np.array(bank), index, drawn, float(z), same)[0]
    values = loss.per_example(teacher, student, y=y, sample_index=index, training=True)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_training_step_is_the_same_in_a_graph_and_under_xla():
    states = []
    for compiled in ("eager", None, True):
        loss = make_loss(seed=3)

        def step(loss=loss):
            return loss.per_example(*features(), sample_index=np.array([1, 5, 2]), training=True)

        if compiled != "eager":
            step = tf.function(step, jit_compile=compiled)
        values = [step(), step()]
        states.append([*values, *(np.array(variable) for variable in loss.memory.variables)])
    for other in states[1:]:
        for a, b in zip(states[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_extreme_scores_stay_finite():
    scores = tf.Variable([[-300.0, 0.0, 300.0]])
    with tf.GradientTape() as tape:
        values = noise_contrast(scores[:, 0], scores[:, 1:], 50_000)
    assert np.isfinite(values).all()
    assert np.isfinite(tape.gradient(values, scores)).all()


@pytest.fixture
def distiller(make_net):
    loss = ContrastiveRepresentation(40, "pool", "pool", negatives=5, dimensions=4)
    distiller = kd_keras.Distiller(make_net(5, "t"), make_net(4, "s"), loss)
    distiller.compile("sgd", sparse_crossentropy(), run_eagerly=True)
    return distiller


@pytest.mark.parametrize("augmentation", ["none", "mixed", "picked"])
def test_numbers_go_with_their_views(augmentation, make_net, images, monkeypatch):
    """Through mixing and picking: each view's number is that of its own label's example."""
    x, _ = images
    number = np.arange(40)
    loss = ContrastiveRepresentation(40, "pool", "pool", negatives=5, dimensions=4)
    seen = []
    cutmix = kd_keras.augment.cutmix(seed=1)
    policy = {"none": None, "mixed": cutmix, "picked": kd_keras.augment.Pick(cutmix)}[augmentation]
    distiller = kd_keras.Distiller(
        make_net(5, "t"), make_net(4, "s"), loss, student_loss_weight=0, augmentation=policy
    )
    (loss,) = distiller.losses_in_use
    original = loss.per_example

    def record(teacher_outputs, student_outputs, y=None, sample_index=None, training=False):
        if training:
            seen.append((np.array(y), np.array(sample_index)))
        return original(teacher_outputs, student_outputs, y, sample_index, training)

    monkeypatch.setattr(loss, "per_example", record)
    distiller.compile("sgd", run_eagerly=True)
    # The labels are the numbers, so that both must arrive in one order.
    distiller.fit({"images": x, "sample_index": number}, number, batch_size=40, verbose=0)
    assert len(seen) == 1
    for labels, index in seen:
        np.testing.assert_array_equal(labels, index)


def test_students_that_take_a_dict_keep_theirs(images):
    x, y = images

    def net(name):
        inputs = keras.Input((6, 6, 1), name="images")
        hidden = keras.layers.Flatten(name="pool")(inputs)
        return keras.Model({"images": inputs}, keras.layers.Dense(3)(hidden), name=name)

    loss = ContrastiveRepresentation(40, "pool", "pool", negatives=5, dimensions=4)
    distiller = kd_keras.Distiller(net("t"), net("s"), loss)
    distiller.compile("sgd", sparse_crossentropy(), run_eagerly=True)
    data = {"images": x, "sample_index": np.arange(40)}
    assert np.isfinite(distiller.fit(data, y, verbose=0).history["loss"]).all()
    assert distiller.predict(data, verbose=0).shape == (40, 3)


def test_missing_and_wrong_numbers_are_explained(distiller, images):
    x, y = images
    with pytest.raises(ValueError, match="np.arange.*InBatchContrast"):
        distiller.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"samples=40, so numbers must be 0..39.*number 1 40"):
        distiller.fit({"images": x, "sample_index": np.arange(40) + 1}, y, batch_size=40, verbose=0)
    with pytest.raises(ValueError, match=r"`momentum` must be a finite number in \[0, 1\]"):
        ContrastiveRepresentation(3, momentum=2)
    with pytest.raises(ValueError, match="`samples` must be an integer >= 1"):
        ContrastiveRepresentation(0)


def test_several_replicas_are_refused(monkeypatch):
    class TwoReplicas:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", TwoReplicas)
    with pytest.raises(ValueError, match="with 2 replicas.*InBatchContrast"):
        make_loss()
