"""One check for every argument: NumPy's numbers are numbers, what float32 does not hold is not."""

from dataclasses import replace
from fractions import Fraction

import keras
import numpy as np
import pytest
import scipy.special

import kd_keras
from kd_keras import arguments, augment, losses, models
from kd_keras.recipes import digits

INFINITE = [float("nan"), float("inf"), -float("inf")]
NO_NUMBERS = [*INFINITE, 1e300, 1e-300, 10**400, True, "4", None, 4j]
NO_RANGES = [
    (0, float("inf")),
    (-float("inf"), 0),
    (float("nan"), 1),
    (0, float("nan")),
    (1, 0),
    (1, 1),
    (1.0, 1.0 + 1e-12),
    (-3e38, 3e38),
    (0, 1e300),
    (False, True),
    (0, 1, 2),
    (0,),
    "01",
    None,
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_float32_does_not_hold_is_no_number(value):
    with pytest.raises(ValueError, match=r"`x` must be a finite number > 0.*Received: x="):
        arguments.check_number("x", value, above=0)


@pytest.mark.parametrize("value", [1.0, True, "1", None, float("nan"), 2**63, np.float32(1)])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(ValueError, match=r"`n` must be an integer >= 1.*Received: n="):
        arguments.check_integer("n", value, 1)


@pytest.mark.parametrize(
    "value",
    [np.int64(4), np.uint8(4), np.float16(4), np.float32(4), np.float64(4), Fraction(4), 4, 4.0],
    ids=repr,
)
def test_numbers_of_numpy_come_back_as_pythons(value):
    number = arguments.check_number("x", value, low=4, high=4)
    assert number == 4
    assert type(number) in (int, float)


def test_the_ends_are_taken_or_not_as_said():
    assert arguments.check_number("x", 0, low=0) == arguments.check_integer("n", 0, 0, 0) == 0
    for ends in ({"above": 0}, {"below": 0}, {"low": 1}, {"high": -1}):
        with pytest.raises(ValueError, match="`x`"):
            arguments.check_number("x", 0, **ends)


@pytest.mark.parametrize("value", NO_RANGES, ids=repr)
@pytest.mark.parametrize(
    "take",
    [
        lambda value: augment.Policy([], value_range=value),
        lambda value: augment.standard(value_range=value),
        lambda value: augment.GaussianNoise(value_range=value),
        lambda value: kd_keras.evaluate.fgsm(None, None, None, value_range=value),
    ],
    ids=["Policy", "standard", "GaussianNoise", "fgsm"],
)
def test_no_range_of_values_is_infinite_reversed_or_empty(take, value):
    with pytest.raises(ValueError, match=r"`value_range` must be \(low, high\).*Received"):
        take(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -0.5])
@pytest.mark.parametrize(
    "take",
    [
        lambda value: kd_keras.Distiller(
            *networks(), losses.KLDivergence(), distillation_loss_weights=value
        ),
        lambda value: kd_keras.Distiller(
            *networks(), [losses.KLDivergence()], distillation_loss_weights=[value]
        ),
        lambda value: kd_keras.Distiller(
            *networks(), losses.KLDivergence(), student_loss_weight=value
        ),
        lambda value: kd_keras.Distiller(
            *networks(), losses.KLDivergence(), distillation_loss_weights=decay(value)
        ),
        lambda value: kd_keras.Distiller(
            *networks(), losses.KLDivergence(), student_loss_weight=decay(value)
        ),
        lambda value: losses.DecoupledKD(alpha=value),
        lambda value: losses.DecoupledKD(beta=decay(value)),
        lambda value: losses.DIST(gamma=value),
        lambda value: losses.RelationalKD(distance_weight=value),
        lambda value: losses.KLDivergence(value),
        lambda value: losses.KLDivergence(decay(value)),
        lambda value: losses.InBatchContrast(temperature=value),
    ],
)
def test_no_weight_temperature_or_schedule_is_taken_that_no_loss_survives(take, value):
    with pytest.raises(ValueError, match="must be a finite number"):
        take(value)


@pytest.mark.parametrize("value", INFINITE)
def test_no_amount_of_change_is_infinite(value):
    for take in (
        lambda: augment.cutout(side=value),
        lambda: augment.GaussianBlur(value),
        lambda: augment.Sharpness((0.0, value)),
        lambda: augment.RandomResizedCrop(aspect_ratio=(0.5, value)),
        lambda: augment.MixUp(value),
        lambda: augment.FMix(decay=value),
        lambda: kd_keras.quantize.FakeQuantize(0.0, value),
    ):
        with pytest.raises(ValueError, match="Received: .*(nan|inf)"):
            take()


def test_a_schedule_whose_end_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="`alpha of temperature` must be a finite number"):
        losses.KLDivergence(keras.optimizers.schedules.CosineDecay(4.0, 10, alpha=float("nan")))


@pytest.mark.parametrize("value", [1e-4, 1001, np.float32(1e4)])
def test_a_temperature_at_which_float32_says_nothing_is_refused(value):
    for take in (losses.KLDivergence, lambda t: replace(digits(), temperature=t)):
        with pytest.raises(ValueError, match=r"`temperature` must be .* in \[0.001, 1000\]"):
            take(value)


@pytest.mark.parametrize("temperature", [0.001, 4.0, 1000.0])
def test_at_the_ends_of_the_temperatures_the_loss_is_right(temperature):
    teacher, student = np.random.default_rng(0).normal(0, 5, (2, 64, 10))
    p, q = (scipy.special.log_softmax(z / temperature, axis=1) for z in (teacher, student))
    expected = (np.exp(p) * (p - q)).sum(1).mean() * temperature**2
    found = losses.KLDivergence(temperature).compute_loss(
        teacher.astype("float32"), student.astype("float32")
    )
    assert float(found) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("take", "said"),
    [
        (lambda: models.from_name("resnet999998", input_shape=(8, 8, 1), num_classes=10), "1202"),
        (lambda: models.resnet(depth=10**30), "`depth`"),
        (lambda: models.resnet(width=10**6), "`width`"),
        (lambda: models.mobilenet(expansion=10**6), "`expansion`"),
        (lambda: models.mobilenet(width=float("nan")), "`width`"),
        (lambda: models.mlp(hidden=(10**9,)), "`hidden`"),
        (lambda: models.mlp(hidden=(1,) * 1000), r"`len\(hidden\)`"),
        (lambda: models.mlp(num_classes=10**9), "`num_classes`"),
        (lambda: models.resnet((10**9, 8, 3)), "`input_shape`"),
        (
            lambda: models.from_name("mlp" + "9" * 5000, input_shape=(8, 8, 1), num_classes=10),
            "`name`",
        ),
    ],
)
def test_a_network_that_no_machine_holds_is_refused_at_once(take, said):
    with pytest.raises(ValueError, match=said):
        take()


def test_numbers_of_numpy_are_taken_everywhere():
    four, half = np.int64(4), np.float32(0.5)
    loss = losses.KLDivergence(np.float32(2))
    kd_keras.Distiller(
        *networks(), loss, distillation_loss_weights=[four], student_loss_weight=half
    )
    assert (
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss)).temperature
        == 2.0
    )
    assert models.mlp((2, 2, 1), four, hidden=(four,), seed=four).output_shape == (None, 4)
    assert augment.mixup(seed=four, alpha=half).seed == 4
    assert augment.Pick(augment.cutmix(), pool=four).pool == 4
    augment.GaussianNoise(half), augment.Posterize(four), augment.strong(four, magnitude=half)
    recipe = replace(digits(), batch_size=four, temperature=np.float32(2))
    assert recipe == replace(digits(), batch_size=4, temperature=2.0)
    assert kd_keras.data.load("digits", batch_size=four, seed=four, limit=np.int32(8)).info


def networks():
    return [models.mlp((2, 2, 1), 3, hidden=(2,)) for _ in range(2)]


def decay(value):
    return keras.optimizers.schedules.ExponentialDecay(value, 10, 0.9)
