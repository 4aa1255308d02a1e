"""Named experiments: a frozen `Recipe` holds everything that a run needs. Imports no TensorFlow."""

from kd_keras.recipes.cifar10 import cifar10
from kd_keras.recipes.digits import digits
from kd_keras.recipes.distillation import distilled_by
from kd_keras.recipes.membrane import membrane
from kd_keras.recipes.own_data import NAMED, recipe_for
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.spoken_digit import spoken_digit
from kd_keras.recipes.sst2 import sst2

__all__ = [
    "NAMED",
    "Recipe",
    "cifar10",
    "digits",
    "distilled_by",
    "membrane",
    "recipe_for",
    "spoken_digit",
    "sst2",
]
