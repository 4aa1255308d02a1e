"""Several outputs by name, dense and sequence outputs, and the masks that Keras puts on them."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 5)).astype("float32")
Y = {"kind": RANDOM.integers(0, 3, 12), "colour": RANDOM.integers(0, 4, 12)}


def two_heads(as_list=False):
    inputs = keras.Input((5,))
    kind = keras.layers.Dense(3, name="kind")(inputs)
    colour = keras.layers.Dense(4, name="colour")(inputs)
    return keras.Model(inputs, [kind, colour] if as_list else {"kind": kind, "colour": colour})


@pytest.mark.parametrize("as_list", [False, True], ids=["dict", "list"])
def test_losses_metrics_and_weights_by_output_name(as_list):
    teacher, student = two_heads(as_list), two_heads(as_list)
    distiller = kd_keras.Distiller(teacher, student, KLDivergence(2.0), student_loss_weight=0.4)
    by_name = {"kind": sparse_crossentropy(), "colour": sparse_crossentropy()}
    distiller.compile(
        keras.optimizers.SGD(0.1),
        loss=by_name,
        loss_weights={"kind": 1.0, "colour": 0.5},
        metrics={"kind": ["accuracy"], "colour": ["accuracy"]},
    )
    y = [Y["kind"], Y["colour"]] if as_list else Y
    logs = distiller.evaluate(X, y, batch_size=12, verbose=0, return_dict=True)
    outputs = student(X)
    kind, colour = outputs if as_list else (outputs["kind"], outputs["colour"])
    parts = [float(sparse_crossentropy()(Y[k], p)) for k, p in (("kind", kind), ("colour", colour))]
    assert logs["student_loss"] == pytest.approx(parts[0] + 0.5 * parts[1], rel=1e-5)
    assert logs["kind_loss"] == pytest.approx(parts[0], rel=1e-5)
    assert logs["kind_accuracy"] == pytest.approx((np.argmax(kind, -1) == Y["kind"]).mean())
    taught = teacher(X)
    pairs = (
        zip(taught, outputs, strict=True)
        if as_list
        else [(taught[name], outputs[name]) for name in ("kind", "colour")]
    )
    divergence, agreed = 0.0, []
    for a, b in pairs:
        divergence += float(KLDivergence(2.0).compute_loss(a, b))
        agreed.append((np.argmax(a, -1) == np.argmax(b, -1)).mean())
    assert logs["distillation_loss"] == pytest.approx(divergence, rel=1e-5)
    assert logs["agreement"] == pytest.approx(np.mean(agreed))
    history = distiller.fit(X, y, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def segmenter():
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))


def test_dense_outputs_with_weights_per_position():
    x = RANDOM.normal(size=(6, 4, 4, 2)).astype("float32")
    y = RANDOM.integers(0, 3, (6, 4, 4))
    weight = RANDOM.random((6, 4, 4)).astype("float32")
    distiller = kd_keras.Distiller(segmenter(), segmenter(), KLDivergence(2.0))
    distiller.compile("sgd", sparse_crossentropy(), metrics=["accuracy"])
    logs = distiller.evaluate(x, y, sample_weight=weight, batch_size=6, verbose=0, return_dict=True)
    teacher, student = distiller.teacher(x), distiller.student(x)
    values = np.asarray(KLDivergence(2.0).values(teacher, student))
    assert logs["distillation_loss"] == pytest.approx((values * weight).mean(), rel=1e-5)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert logs["student_loss"] == pytest.approx(float(plain(y, student, weight)), rel=1e-5)
    same = np.argmax(teacher, -1) == np.argmax(student, -1)
    assert logs["agreement"] == pytest.approx(same.mean())
    distiller.fit(x, y, sample_weight=weight, verbose=0)


def tagger(name):
    inputs = keras.Input((None,), dtype="int32")
    wide = keras.initializers.RandomNormal(stddev=2.0)  # so that losses stand clear of rounding
    x = keras.layers.Embedding(10, 6, mask_zero=True, embeddings_initializer=wide)(inputs)
    x = keras.layers.Dense(6, name="hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x), name=name)


@pytest.mark.parametrize(
    "compile_options",
    [{}, {"jit_compile": True}, {"run_eagerly": True}],
    ids=["graph", "xla", "eager"],
)
def test_masked_tokens_count_nothing_in_losses_metrics_and_agreement(compile_options):
    tokens = RANDOM.integers(1, 10, (6, 5))
    tokens[:, 3:] = 0  # padding
    tokens[0, 1:] = 0
    valid = tokens > 0
    y = RANDOM.integers(0, 3, (6, 5))
    losses = [KLDivergence(2.0), keras.distillation.FeatureDistillation("mse", "hidden", "hidden")]
    distiller = kd_keras.Distiller(tagger("t"), tagger("s"), losses)
    distiller.compile(
        keras.optimizers.SGD(0.0),
        sparse_crossentropy(),
        metrics=["accuracy"],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="masked_accuracy")],
        **compile_options,
    )
    teacher, student = distiller.teacher(tokens), distiller.student(tokens)
    values = np.asarray(KLDivergence(2.0).values(teacher, student))
    logs = distiller.train_on_batch(tokens, y, return_dict=True)
    assert logs["kl_divergence"] == pytest.approx(values[valid].mean(), rel=1e-5)
    # Keras's own loss on an output that carries its mask is the reference.
    expected = float(sparse_crossentropy()(y, student))
    assert expected == pytest.approx(
        float(sparse_crossentropy()(y[valid], np.asarray(student)[valid])), rel=1e-5
    )
    assert logs["student_loss"] == pytest.approx(expected, rel=1e-5)
    picks = np.argmax(student, -1)
    assert logs["agreement"] == pytest.approx((np.argmax(teacher, -1) == picks)[valid].mean())
    assert logs["masked_accuracy"] == pytest.approx((picks == y)[valid].mean())
    right = np.argmax(teacher, -1) == y
    assert logs["teacher_accuracy"] == pytest.approx(right[valid].mean())


def test_an_embeddings_sparse_gradient_passes_the_guard():
    tokens = RANDOM.integers(1, 10, (6, 5))
    distiller = kd_keras.Distiller(tagger("t"), tagger("s"), KLDivergence(2.0))
    distiller.compile(keras.optimizers.Adam(0.1), sparse_crossentropy())
    history = distiller.fit(tokens, RANDOM.integers(0, 3, (6, 5)), epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_dict_inputs_reach_both_networks():
    def net():
        inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((3,), name="b")}
        joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
        return keras.Model(inputs, keras.layers.Dense(3)(joined))

    distiller = kd_keras.Distiller(net(), net(), KLDivergence(2.0))
    distiller.compile("sgd", sparse_crossentropy())
    x = {"a": X[:, :2], "b": X[:, 2:]}
    assert np.isfinite(distiller.fit(x, Y["kind"], verbose=0).history["loss"]).all()
    assert distiller.predict(x, verbose=0).shape == (12, 3)


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("as_dict", [False, True])
def test_agreement_of_one_unit_is_at_half_the_probability(activation, as_dict):
    def net():
        inputs = keras.Input((5,))
        output = keras.layers.Dense(1, activation=activation, name="yes")(inputs)
        return keras.Model(inputs, {"yes": output} if as_dict else output)

    teacher, student = net(), net()
    student.set_weights([-0.3 * teacher.get_weights()[0], np.array([0.2], "float32")])
    loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    distiller = kd_keras.Distiller(
        teacher,
        student,
        keras.distillation.LogitsDistillation(loss={"yes": "mse"} if as_dict else "mse"),
    )
    distiller.compile("sgd", {"yes": loss} if as_dict else loss)
    y = np.ones((12, 1))
    logs = distiller.evaluate(X, {"yes": y} if as_dict else y, verbose=0, return_dict=True)
    outputs = [keras.tree.flatten(model(X))[0].numpy() for model in (teacher, student)]
    threshold = 0.5 if activation else 0.0
    agreed = ((outputs[0] > threshold) == (outputs[1] > threshold)).mean()
    assert agreed < 1.0
    assert logs["agreement"] == pytest.approx(agreed)


class HiddenMSE(kd_keras.losses.Loss):
    def per_example(self, teacher_outputs, student_outputs):
        return keras.ops.mean((teacher_outputs - student_outputs) ** 2, axis=-1)


@pytest.mark.parametrize("as_list", [False, True], ids=["dict", "list"])
def test_weights_by_output_reach_the_losses_that_tap_one_output_or_a_layer(as_list):
    def net():
        inputs = keras.Input((5,))
        hidden = keras.layers.Dense(4, name="hidden")(inputs)
        kind = keras.layers.Dense(3, name="kind")(hidden)
        colour = keras.layers.Dense(4, name="colour")(hidden)
        return keras.Model(inputs, [kind, colour] if as_list else {"kind": kind, "colour": colour})

    losses = [
        KLDivergence(2.0, "colour", "colour"),  # takes the weights itself
        HiddenMSE("kind", "kind"),
        HiddenMSE("hidden", "hidden"),
    ]
    teacher, student = net(), net()
    distiller = kd_keras.Distiller(teacher, student, losses)
    both = [sparse_crossentropy(), sparse_crossentropy()]
    distiller.compile(
        keras.optimizers.SGD(0.0), both if as_list else dict(zip(Y, both, strict=True))
    )
    weight = {name: RANDOM.random(12).astype("float32") for name in Y}
    data = [Y, weight]
    if as_list:
        data = [tuple(part.values()) for part in data]
    logs = distiller.train_on_batch(X, *data, return_dict=True)

    def taps(model):
        return [
            np.asarray(keras.Model(model.inputs, model.get_layer(name).output)(X))
            for name in ("colour", "kind", "hidden")
        ]

    pairs = list(zip(taps(teacher), taps(student), strict=True))
    by_hand = [np.asarray(KLDivergence(2.0).values(*pairs[0]))]
    by_hand += [((a - b) ** 2).mean(axis=-1) for a, b in pairs[1:]]
    weights = [weight["colour"], weight["kind"], (weight["kind"] + weight["colour"]) / 2]
    for name, values, factor in zip(
        ["kl_divergence", "hidden_mse", "hidden_mse_1"], by_hand, weights, strict=True
    ):
        assert logs[name] == pytest.approx((values * factor).mean(), rel=1e-4), name
