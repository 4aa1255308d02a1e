"""What holds for every loss that owns layers: gradients, extremes, dtypes, XLA, Distiller."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import losses
from tests.conftest import sparse_crossentropy

MAPS = ([(None, 4, 4, 5)], [(None, 8, 8, 3)])
STAGES = (
    [(None, 8, 8, 4), (None, 4, 4, 6), (None, 8)],
    [(None, 8, 8, 3), (None, 4, 4, 5), (None, 7)],
)
VECTORS = ([(None, 5)], [(None, 3)])

CASES = {
    "hint": (losses.Hint, {"adapter": True}, MAPS),
    "vid": (losses.VariationalInformation, {"initial_variance": 2.0}, MAPS),
    "vid of several": (losses.VariationalInformation, {}, STAGES),
    "review": (losses.KnowledgeReview, {"max_width": 4}, STAGES),
    "overhaul": (losses.OverhaulFeature, {"margin": -0.5}, MAPS),
    "crd": (
        losses.ContrastiveRepresentation,
        {"samples": 9, "negatives": 20, "dimensions": 4, "temperature": 0.5, "momentum": 0.3},
        VECTORS,
    ),
    "in batch": (losses.InBatchContrast, {"dimensions": 4, "temperature": 0.5}, VECTORS),
}


def build(case):
    kind, arguments, shapes = CASES[case]
    loss = kind(**arguments)
    loss.build(*shapes)
    if case == "crd":
        loss.memory.z_is_set.assign(1.0)  # Z is a constant, and no part of the gradient
    return loss


def layers_of(loss):
    found = keras.tree.flatten(list(vars(loss).values()))
    return [layer for layer in found if isinstance(layer, keras.Layer)]


def weights_of(loss):
    return [weight for layer in layers_of(loss) for weight in layer.trainable_weights]


def features(case, batch=3, scale=1.0, seed=0):
    random = np.random.default_rng(seed)
    return [
        [random.normal(size=(batch, *shape[1:])).astype("float32") * scale for shape in shapes]
        for shapes in CASES[case][2]
    ]


@pytest.fixture(params=CASES)
def case(request):
    return request.param


def value_and_gradients(loss, teacher, student):
    variables = [tf.Variable(one) for one in student]
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, [tf.convert_to_tensor(v) for v in variables])
    own = [weight.value for weight in weights_of(loss)]
    return float(value), tape.gradient(value, [*variables, *own])


def test_gradients_are_those_of_finite_differences(case):
    loss = build(case)
    teacher, student = features(case)
    random = np.random.default_rng(1)
    directions = [random.normal(size=one.shape).astype("float32") for one in student]
    _, gradients = value_and_gradients(loss, teacher, student)
    expected = sum(
        float(np.sum(d * g)) for d, g in zip(directions, gradients[: len(student)], strict=True)
    )
    step = 2e-3
    ends = [
        float(
            loss.compute_loss(
                teacher, [s + sign * step * d for s, d in zip(student, directions, strict=True)]
            )
        )
        for sign in (1, -1)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=2e-2, abs=2e-3)
    assert all(g is not None and np.any(g) for g in gradients)


@pytest.mark.parametrize("scale", [1e4, 0.0])
@pytest.mark.parametrize("batch", [3, 1])
def test_extremes_and_constant_features_have_finite_values_and_gradients(case, scale, batch):
    loss = build(case)
    teacher, student = features(case, batch, scale)
    value, gradients = value_and_gradients(loss, teacher, student)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)


def test_a_batch_without_examples_is_zero_with_finite_gradients(case):
    if case == "review":
        pytest.skip("TensorFlow's convolution of no examples has the wrong channels on a CPU")
    value, gradients = value_and_gradients(build(case), *features(case, batch=0))
    assert value == 0.0
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_features_are_matched_in_float32(case, dtype):
    loss = build(case)
    teacher, student = features(case)
    low = [[tf.cast(one, dtype) for one in side] for side in (teacher, student)]
    values = loss.per_example(*low)
    assert values.dtype == tf.float32
    again = [[tf.cast(one, "float32") for one in side] for side in low]
    np.testing.assert_array_equal(values, loss.per_example(*again))


def test_eager_graph_and_xla_agree(case):
    loss = build(case)
    teacher, student = features(case)
    eager = loss.per_example(teacher, student)
    assert eager.shape == (3,)
    assert float(loss.compute_loss(teacher, student)) == pytest.approx(np.mean(eager), rel=1e-6)
    graph = tf.function(loss.per_example)
    for function in (graph, tf.function(graph, jit_compile=True)):
        np.testing.assert_allclose(eager, function(teacher, student), rtol=1e-4, atol=1e-5)


def test_an_examples_value_does_not_depend_on_the_others(case):
    if case in ("in batch", "crd"):
        pytest.skip("the others are its negatives, or decide which negatives are drawn")
    loss = build(case)
    teacher, student = features(case)
    alone = loss.per_example([one[1:2] for one in teacher], [one[1:2] for one in student])
    together = loss.per_example(teacher, student)[1:2]
    np.testing.assert_allclose(alone, together, rtol=1e-5)


def test_the_config_comes_back(case):
    kind, arguments, _ = CASES[case]
    loss = kind(
        teacher_layer_name=["a", "b"],
        student_layer_name=[keras.layers.Dense(2, name="c"), "d"],
        **arguments,
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is kind
    assert again.get_config() == loss.get_config()
    assert again.student_layer_name == ("c", "d")
    assert {name: again.get_config()[name] for name in arguments} == arguments


def test_a_loss_that_is_not_built_says_what_to_do(case):
    kind, arguments, _ = CASES[case]
    with pytest.raises(ValueError, match=r"owns layers that train.*kd_keras.Distiller.*`build\("):
        kind(**arguments).compute_loss(*features(case))


def test_keras_own_distiller_which_would_not_train_the_layers_is_refused(case, make_net):
    kind, arguments, _ = CASES[case]
    loss = kind(teacher_layer_name="norm", student_layer_name="norm", **arguments)
    with pytest.raises(ValueError, match="does not train the layers of a loss"):
        keras.distillation.Distiller(make_net(4, "t"), make_net(4, "s"), loss)


@pytest.mark.parametrize(
    ("teacher", "student"),
    [([(None, 4), (None, 4)], [(None, 4)]), ([(None, 4, 4, 2)], [(None,)])],
)
def test_taps_that_do_not_belong_together_are_refused_with_their_shapes(case, teacher, student):
    kind, arguments, _ = CASES[case]
    with pytest.raises(ValueError, match=r"Received: teacher \[\(None, 4.*student \[\(None,"):
        kind(**arguments).build(teacher, student)


def all_losses():
    both = ["norm", "pool"], ["norm", "pool"]
    return [
        losses.Hint("norm", "norm"),
        losses.VariationalInformation("norm", "norm"),
        losses.KnowledgeReview(*both, max_width=3),
        losses.OverhaulFeature("norm", "norm"),
        losses.ContrastiveRepresentation(40, "pool", "pool", negatives=7, dimensions=4),
        losses.InBatchContrast("pool", "pool", dimensions=4),
    ]


def distiller_of(make_net, chosen=range(6), **compile_arguments):
    keras.utils.set_random_seed(2)
    weights = [1.0, 0.1, 1.0, 1e-3, 0.1, 0.1]
    distiller = kd_keras.Distiller(
        make_net(5, "t"),
        make_net(4, "s"),
        [all_losses()[i] for i in chosen],
        [weights[i] for i in chosen],
    )
    distiller.compile(keras.optimizers.SGD(0.01, 0.9), sparse_crossentropy(), **compile_arguments)
    return distiller


def numbered(x):
    return {"images": x, "sample_index": np.arange(len(x))}


def state_of(distiller):
    """Everything that training moves, by path; the logs are not part of it."""
    metrics = {id(variable) for variable in distiller.metrics_variables}
    return {v.path: np.array(v) for v in distiller.variables if id(v) not in metrics}


@pytest.mark.slow
def test_in_a_distiller_they_train_are_saved_and_go_on(make_net, images, tmp_path):
    x, y = numbered(images[0]), images[1]
    unbroken = distiller_of(make_net, run_eagerly=True)
    unbroken.fit(x, y, batch_size=40, verbose=0)
    own = [weight for layer in unbroken._loss_layers for weight in layer.trainable_weights]
    assert len(unbroken.trainable_variables) == len(unbroken.student.trainable_weights) + len(own)
    trained = [np.array(weight) for weight in own]
    before = state_of(unbroken)
    results = unbroken.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)
    for path, value in state_of(unbroken).items():  # an evaluation moves nothing
        np.testing.assert_array_equal(value, before[path])

    unbroken.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.compiled
    loaded.run_eagerly = True
    # Held-out data need no numbers.
    again = loaded.evaluate(images[0], y, batch_size=40, verbose=0, return_dict=True)
    assert again == pytest.approx(results, rel=1e-6)
    histories = [
        model.fit(x, y, batch_size=40, shuffle=False, verbose=0).history
        for model in (unbroken, loaded)
    ]
    assert set(histories[0]) >= {"hint", "variational_information", "contrastive_representation"}
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name], rel=1e-5)
    assert all(np.any(np.array(w) != old) for w, old in zip(own, trained, strict=True))
    for a, b in zip(unbroken.variables, loaded.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    # The student alone holds nothing of the losses.
    unbroken.student.save(tmp_path / "student.keras")
    alone = keras.models.load_model(tmp_path / "student.keras")
    assert len(alone.weights) == len(make_net(4, "fresh").weights)


@pytest.mark.slow
def test_under_mixed_precision_and_xla_the_layers_stay_in_float32(make_net, images):
    """With the two losses that move state inside the compiled core."""
    x, y = images
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        distiller = distiller_of(make_net, [3, 4], jit_compile=True)
        history = distiller.fit(numbered(x), y, batch_size=20, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert distiller.student.get_layer("conv").compute_dtype == "float16"
    for layer in distiller._loss_layers:
        assert {one.compute_dtype for one in layer._flatten_layers()} == {"float32"}
    assert float(distiller.losses_in_use[1].memory.z_is_set) == 1.0


def test_sample_weights_act_on_each_examples_value(make_net, images):
    x = images[0]
    weight = np.linspace(0, 2, len(x)).astype("float32")
    loss = losses.Hint("pool", "pool", adapter=True)
    distiller = kd_keras.Distiller(make_net(5, "t"), make_net(4, "s"), loss, student_loss_weight=0)
    distiller.compile("sgd", run_eagerly=True)
    logs = distiller.evaluate(
        x, images[1], sample_weight=weight, batch_size=40, verbose=0, return_dict=True
    )
    taps = [
        keras.Model(model.inputs, model.get_layer("pool").output)(x)
        for model in (distiller.teacher, distiller.student)
    ]
    values = np.array(distiller.losses_in_use[0].per_example(*taps))
    assert logs["distillation_loss"] == pytest.approx(np.mean(weight * values), rel=1e-5)
