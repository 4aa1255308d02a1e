"""`history.csv`."""

from kd_keras.experiments.history import read_history, write_history


def test_what_was_written_is_read_to_the_last_bit(tmp_path):
    histories = {
        "teacher": [{"loss": 0.1 + 0.2, "val_loss": 1e-17}, {"loss": 1 / 3, "val_loss": 2.0}],
        "student": [{"loss": 5.0, "agreement": 0.25}],
    }
    write_history(tmp_path / "history.csv", histories)
    assert read_history(tmp_path / "history.csv") == histories


def test_the_table_has_a_row_for_each_epoch_and_empty_cells_for_absent_logs(tmp_path):
    path = tmp_path / "history.csv"
    write_history(path, {"teacher": [{"loss": 1.5}], "student": [{"loss": 2.0, "agreement": 0.5}]})
    assert path.read_text().splitlines() == [
        "network,epoch,loss,agreement",
        "teacher,1,1.5,",
        "student,1,2.0,0.5",
    ]


def test_without_a_file_there_is_no_history(tmp_path):
    assert read_history(tmp_path / "history.csv") == {}
