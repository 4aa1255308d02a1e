"""`write_views` on the embedded digits: the files, and what stands in them."""

import re

import numpy as np
import pytest
from rich.console import Console

from kd_keras import augment, data, models
from kd_keras.jobs import write_views
from kd_keras.report import gallery


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    models.mlp((8, 8, 1), 10, hidden=(8,), seed=0).save(path)
    return path


@pytest.mark.slow
def test_the_sheets_hold_the_policys_views_their_labels_and_the_teachers(
    tmp_path, teacher, monkeypatch
):
    shown = []
    render = gallery.render_gallery
    monkeypatch.setattr(gallery, "render_gallery", lambda *a: (shown.extend(a[2]), render(*a))[1])
    written = write_views(
        "digits", ["none", "cutmix"], tmp_path / "out", teacher=teacher, examples=3, views=2, seed=5
    )
    assert [path.name for path in written] == ["views.html", "views_none.png", "views_cutmix.png"]
    assert all(path.stat().st_size > 1000 for path in written)

    images, labels = next(iter(data.load("digits", batch_size=64, seed=5).training()))
    mixed = augment.named("cutmix", seed=5)({"images": images, "labels": labels}, step=1)
    none, cutmix = shown
    for example in range(3):
        original, _, second = cutmix.rows[example]
        np.testing.assert_array_equal(original.image, images[example])
        np.testing.assert_array_equal(second.image, mixed["images"][example])
        assert original.labels == ((str(int(labels[example])), 1.0),)
        share = float(mixed["share"][example])
        names = [str(int(mixed[key][example])) for key in ("labels", "second_labels")]
        if names[0] == names[1]:
            assert second.labels == ((names[0], 1.0),)
        else:
            assert second.labels == ((names[0], share), (names[1], 1 - share))
        probabilities = [share for _, share in original.predictions]
        assert len(probabilities) == 3 and probabilities == sorted(probabilities, reverse=True)
        for plain in none.rows[example][1:]:
            np.testing.assert_array_equal(plain.image, original.image)
            assert plain.predictions == original.predictions


def test_without_a_teacher_the_views_stand_alone_and_the_remedy_is_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    page, _ = write_views(
        "digits", ["noise"], "out", examples=1, views=1, console=Console(width=200)
    )
    assert "--teacher" in capsys.readouterr().out
    assert "No teacher" in page.read_text()
    assert not re.search(r'class="guess', page.read_text())


def test_a_picture_of_somebody_else_is_not_overwritten(tmp_path, teacher):
    def draw():
        return write_views("digits", ["none"], tmp_path, teacher=teacher, examples=1, views=1)

    (tmp_path / "views_none.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"views_none\.png' is no file that `kd-keras views` wr"):
        draw()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]
    (tmp_path / "views_none.png").unlink()
    row = (gallery.View(np.zeros((8, 8, 1), "uint8"), (("0", 1.0),)),)
    (tmp_path / "views_none.png").write_bytes(gallery.draw_sheet(gallery.Sheet("none", (row,))))
    assert draw()[1].name == "views_none.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policies": []}, "`policies` must name a policy"),
        ({"policies": ["strog"]}, "name='strog'.*Did you mean 'strong'"),
        ({"examples": 0}, "`examples` must be an integer from 1 to 64.*examples=0"),
        ({"views": True}, "`views` must be an integer from 1 to 64.*views=True"),
        ({"teacher": "gone.keras"}, "gone.keras"),
        ({"seed": 2**63}, "`seed` must be an integer >= 0 that int64 holds"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_views(
            **{"dataset": "digits", "policies": ["none"], "output": tmp_path / "out", **arguments}
        )
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`output` cannot be made a folder.*--output"):
        write_views("digits", ["none"], tmp_path / "file")
