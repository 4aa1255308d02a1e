"""Deep mutual learning: as a loop by hand, without a leak; saved, resumed, compiled, refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import Hint, InputGradient, KLDivergence, LogitsMSE
from kd_keras.teachers import Peers
from kd_keras.teachers.contract import Asking
from tests.conftest import sparse_crossentropy


@pytest.fixture
def together(make_mlp):
    """A factory of (the peers by name, one network of them), which begin the same each time."""

    def build(count=2, width=5):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((5,))
        peers = {name: make_mlp(f"net_{name}", width=width - i) for i, name in enumerate("abc")}
        peers = {name: peers[name] for name in list(peers)[:count]}
        return peers, keras.Model(inputs, {name: net(inputs) for name, net in peers.items()})

    return build


def fit(distiller, names, rows, **options):
    distiller.compile(
        keras.optimizers.SGD(0.3, momentum=0.9),
        dict.fromkeys(names, sparse_crossentropy()),
        metrics={name: ["accuracy"] for name in names},
        **options,
    )
    labels = dict.fromkeys(names, rows[1])
    return distiller.fit(rows[0], labels, batch_size=4, epochs=2, shuffle=False, verbose=0).history


def mutual(students, losses=None, teacher=None, **options):
    return kd_keras.Distiller(
        teacher or Peers(), students, losses or KLDivergence(2.0), combine="sum", **options
    )


@pytest.mark.parametrize(("count", "loss"), [(2, LogitsMSE()), (3, KLDivergence(2.0))])
def test_peers_learn_as_in_a_loop_by_hand(together, rows, count, loss):
    """Each with an optimizer of its own, from its own loss alone, in which the others are fixed."""
    peers, students = together(count)
    distiller = mutual(students, loss)
    logs = fit(distiller, peers, rows)
    by_hand, _ = together(count)
    optimizers = {name: keras.optimizers.SGD(0.3, momentum=0.9) for name in by_hand}
    noted = {name: [] for name in by_hand}
    for step in range(6):
        part = slice(4 * (step % 3), 4 * (step % 3) + 4)
        x, y = rows[0][part], rows[1][part]
        said = {name: net(x).numpy() for name, net in by_hand.items()}
        for name, net in by_hand.items():
            with tf.GradientTape() as tape:
                z = net(x)
                label_loss = sparse_crossentropy()(y, z)
                others = [said[other] for other in said if other != name]
                taught = sum(loss.compute_loss(other, z) for other in others) / len(others)
                value = label_loss + taught
            noted[name].append((float(label_loss), float(taught)))
            gradients = tape.gradient(value, net.trainable_weights)
            optimizers[name].apply_gradients(zip(gradients, net.trainable_weights, strict=True))
    for name, net in peers.items():
        for found, expected in zip(net.get_weights(), by_hand[name].get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        label_losses = np.reshape([label for label, _ in noted[name]], (2, 3)).mean(axis=1)
        np.testing.assert_allclose(logs[f"{name}_loss"], label_losses, rtol=1e-4)
    taught = sum(np.array([t for _, t in noted[name]]) for name in noted)
    expected = np.reshape(taught, (2, 3)).mean(axis=1)
    np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-4)
    # And how often the others pick what one picks.
    labels = dict.fromkeys(peers, rows[1])
    found = distiller.evaluate(rows[0], labels, verbose=0, return_dict=True)
    picked = {name: np.argmax(net(rows[0]), -1) for name, net in peers.items()}
    for name, own in picked.items():
        same = [np.mean(own == picked[other]) for other in picked if other != name]
        assert found[f"{name}_agreement"] == pytest.approx(np.mean(same))
        assert found[f"{name}_accuracy"] == pytest.approx(np.mean(own == rows[1]))


def test_no_gradient_passes_from_one_to_another(together, rows):
    """The loss of "b" moves nothing of "a": without a label loss of its own "a" stays."""
    peers, students = together()
    distiller = mutual(students)
    distiller.compile("sgd", dict.fromkeys(peers, sparse_crossentropy()))
    labels = dict.fromkeys(peers, rows[1])
    with tf.GradientTape(persistent=True) as tape:
        said = students(rows[0])
        alone = KLDivergence(2.0).compute_loss(tf.stop_gradient(said["b"]), said["a"])
        of_labels = sparse_crossentropy()(rows[1], said["a"])
        whole = distiller.compute_loss(rows[0], labels)
    weights = peers["a"].trainable_weights
    expected = tape.gradient(of_labels, weights), tape.gradient(alone, weights)
    for found, one, other in zip(tape.gradient(whole, weights), *expected, strict=True):
        np.testing.assert_allclose(found, one + other, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"jit_compile": True}, {"run_eagerly": True}])
def test_training_is_the_same_however_it_is_compiled_with_a_teacher_besides(
    together, make_mlp, rows, options
):
    inputs, logs = keras.Input((5,)), []
    for how in ({}, options):
        peers, students = together()
        deep = make_mlp("deep", width=9)(inputs)
        teachers = {"deep": keras.Model(inputs, dict.fromkeys(peers, deep)), "peers": Peers()}
        losses = {"deep": KLDivergence(4.0), "peers": KLDivergence(1.0)}
        logs.append(fit(mutual(students, losses, teachers), peers, rows, **how))
    assert "deep_kl_divergence" in logs[0] and "peers_a_agreement" in logs[0]
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_files_and_checkpoints_bring_them_back(together, rows, tmp_path):
    peers, students = together()
    distiller = mutual(students)
    fit(distiller, peers, rows)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    labels = dict.fromkeys(peers, rows[1])
    for model in (distiller, loaded):
        model.fit(rows[0], labels, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        loaded.predict(rows[0], verbose=0)["a"],
        distiller.predict(rows[0], verbose=0)["a"],
        rtol=1e-5,
    )
    batches = tf.data.Dataset.from_tensor_slices((rows[0], labels)).batch(4)

    def run(path, epochs):
        of_run, network = together()
        model = mutual(network)
        model.compile("adam", dict.fromkeys(of_run, sparse_crossentropy()))
        checkpoint = kd_keras.Checkpoint(path)
        model.fit(
            checkpoint.epochs(lambda epoch: batches),
            steps_per_epoch=3,
            epochs=epochs,
            callbacks=[checkpoint],
            verbose=0,
        )
        return network.get_weights()

    whole = run(tmp_path / "whole.npz", 2)
    run(tmp_path / "broken.npz", 1)
    for found, expected in zip(run(tmp_path / "broken.npz", 2), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_in_float16_no_peer_is_left_behind(rows, make_mlp):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((5,))
        nets = {"a": make_mlp("a"), "b": make_mlp("b")}
        students = keras.Model(inputs, {name: net(inputs) for name, net in nets.items()})
        before = {name: net.get_weights() for name, net in nets.items()}
        distiller = mutual(students)
        logs = fit(distiller, nets, rows)
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(logs["loss"]).all()
    for name, net in nets.items():
        assert any(np.any(a != b) for a, b in zip(before[name], net.get_weights(), strict=True))


def test_a_loss_that_is_not_finite_names_the_peer(together, rows):
    peers, students = together()
    peers["b"].layers[-1].bias.assign([np.nan, 0.0, 0.0])
    with pytest.raises(kd_keras.NonFiniteLossError, match=r"teacher 'b' that are not finite=4$"):
        fit(mutual(students), peers, rows, run_eagerly=True)


def test_what_peers_cannot_do_is_refused_by_name(together, make_mlp, rows):
    peers, students = together()
    inputs = keras.Input((5,))
    listed = keras.Model(inputs, [net(inputs) for net in peers.values()])
    for student in (peers["a"], listed):
        with pytest.raises(ValueError, match="an output for each peer, by its name"):
            mutual(student)
    with pytest.raises(ValueError, match="Hint matches features, and peers learn"):
        mutual(students, Hint("net_a/hidden", "net_b/hidden"))
    with pytest.raises(ValueError, match="InputGradient needs the teacher's gradient"):
        mutual(students, InputGradient())
    with pytest.raises(ValueError, match="Call the students"):
        Peers()(rows[0])
    wider = {"a": peers["a"], "b": make_mlp("wider", units=4)}
    students = keras.Model(inputs, {name: net(inputs) for name, net in wider.items()})
    # `Pick` asks without the students.
    with pytest.raises(ValueError, match=r"peers are the students.*Pick"):
        Asking(mutual(students)._parts.teacher)(rows[0])
    with pytest.raises(ValueError, match="Peers must answer in the same classes"):
        fit(mutual(students), wider, rows)
