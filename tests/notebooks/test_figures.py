"""The comparison of figures can fail, and only then when it should."""

import base64
import io

import matplotlib.pyplot as plt
import pytest

from figures import differences


def drawn(slope: float = 1.0, label: str = "0.1", width: float = 7.0, shade: float = 0.0) -> list[dict]:
    fig, ax = plt.subplots(figsize=(width, 3.5), dpi=150)
    ax.plot([0, 1], [0, slope], color=(shade, shade, shade))
    ax.set(xlim=(0, 1), ylim=(0, 2), xlabel=label)
    file = io.BytesIO()
    fig.savefig(file, format="png")
    plt.close(fig)
    return [{"output_type": "display_data", "data": {"image/png": base64.b64encode(file.getvalue()).decode()}}]


def test_the_same_figure_agrees() -> None:
    assert differences(drawn(), drawn()) == []


def test_an_edge_rounded_otherwise_agrees() -> None:
    assert differences(drawn(), drawn(shade=0.1)) == []


@pytest.mark.parametrize("changed", [{"slope": 1.02}, {"label": "0.2"}, {"width": 7.1}, {"shade": 0.3}], ids=str)
def test_a_changed_figure_is_noticed(changed: dict) -> None:
    assert len(differences(drawn(), drawn(**changed))) == 1


def test_a_missing_figure_is_noticed() -> None:
    assert differences(drawn(), []) and differences([], drawn())


def test_text_outputs_are_left_to_nbval() -> None:
    assert differences([{"output_type": "stream", "text": "a"}], []) == []
