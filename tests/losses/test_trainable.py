"""Losses that own layers: alone, in a Distiller, under mixed precision, with weights."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras import losses
from tests.conftest import sparse_crossentropy
from tests.losses.test_properties import CASES, WITHOUT_LAYERS, build
from tests.losses.test_properties import outputs as features


@pytest.fixture(params=[name for name in CASES if name not in WITHOUT_LAYERS])
def case(request):
    return request.param


def layers_of(loss):
    found = keras.tree.flatten(list(vars(loss).values()))
    return [layer for layer in found if isinstance(layer, keras.Layer)]


def weights_of(loss):
    return [weight for layer in layers_of(loss) for weight in layer.trainable_weights]


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
