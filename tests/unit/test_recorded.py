"""What was recorded can be loaded wherever the library is, and nothing else can."""

import pytest

import soft_optimality as so


def test_a_json_file_comes_as_it_is_and_a_csv_file_as_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(so.recorded, "FOLDER", tmp_path)
    (tmp_path / "a.json").write_text('{"η": [1, 2.5]}', encoding="utf-8")
    (tmp_path / "b.csv").write_text('work,milliseconds\n"soft, dense",0.5\n', encoding="utf-8")
    assert so.recorded.load("a.json") == {"η": [1, 2.5]}
    assert so.recorded.load("b.csv") == [{"work": "soft, dense", "milliseconds": "0.5"}]


@pytest.mark.parametrize("name", ["tabular_q", "../mdp.py", "__init__.py", ""])
def test_a_name_that_nothing_was_recorded_under_is_refused(name):
    with pytest.raises(ValueError, match=r"name = .*must be one of .*tabular_q\.json"):
        so.recorded.load(name)
