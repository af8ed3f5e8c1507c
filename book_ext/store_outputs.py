"""Execute notebooks from top to bottom and store their outputs, so that the same source gives the same bytes."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def store_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,  # times differ from run to run
        coalesce_streams=True,  # two prints are one stream or two, as the wind blows
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    # The kernel writes its own Python version and its mode lines here; the next machine's would differ.
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python", "pygments_lexer": "ipython3"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random ids would make every run a change
        cell.metadata.pop("execution", None)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    print(f"stored {path}")


if __name__ == "__main__":
    # Kernels are found on this path first: the one of this environment, not of another Jupyter on the machine.
    os.environ["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    for name in sys.argv[1:]:
        store_outputs(Path(name))
