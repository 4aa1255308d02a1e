"""One teacher for several students in one fit: each ends as it does alone."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import AttentionTransfer, KLDivergence
from tests.conftest import sparse_crossentropy


def test_students_under_one_teacher_end_as_each_alone(make_net, images):
    x, y = images[0][:16], images[1][:16]
    teacher, students = (
        make_net(5, "teacher"),
        {"small": make_net(4, "a"), "tiny": make_net(2, "b")},
    )
    start = {name: student.get_weights() for name, student in students.items()}

    def trained(teacher, student, losses, compiled, metrics, labels):
        distiller = kd_keras.Distiller(teacher, student, losses, student_loss_weight=0.3)
        distiller.compile(keras.optimizers.SGD(0.1, momentum=0.9), compiled, metrics=metrics)
        fit = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
        return distiller.fit(x, labels, **fit).history

    alone = {}
    for name, student in students.items():
        tap = AttentionTransfer(teacher_layer_name="relu", student_layer_name="relu")
        losses = [KLDivergence(4.0), tap]
        logs = trained(teacher, student, losses, sparse_crossentropy(), ["accuracy"], y)
        alone[name] = logs, student.get_weights()
        student.set_weights(start[name])

    inputs = keras.Input((6, 6, 1))
    logits = teacher(inputs)
    together = keras.Model(inputs, {name: student(inputs) for name, student in students.items()})
    repeated = keras.Model(inputs, dict.fromkeys(students, logits))
    taps = [
        AttentionTransfer(teacher_layer_name="teacher/relu", student_layer_name=f"{name}/relu")
        for name in ("a", "b")
    ]
    logs = trained(
        repeated,
        together,
        [KLDivergence(4.0), *taps],
        dict.fromkeys(students, sparse_crossentropy()),
        {name: ["accuracy"] for name in students},
        dict.fromkeys(students, y),
    )
    for name, student in students.items():
        of_name, weights = alone[name]
        np.testing.assert_allclose(logs[f"{name}_loss"], of_name["student_loss"], rtol=1e-4)
        assert logs[f"{name}_accuracy"] == of_name["accuracy"]
        for one, other in zip(student.get_weights(), weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    total = sum(np.array(alone[name][0]["distillation_loss"]) for name in students)
    np.testing.assert_allclose(logs["distillation_loss"], total, rtol=1e-4)
    assert logs["distillation_loss"][0] != pytest.approx(logs["distillation_loss"][1])
