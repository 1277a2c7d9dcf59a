"""The README's Python runs as it stands."""

import re
import runpy
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_python_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "example.py").write_text(block)
        runpy.run_path(str(tmp_path / "example.py"))
