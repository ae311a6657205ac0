"""The example in the README runs."""

import re
from pathlib import Path

import basis_actors.bus


def test_the_example_of_the_readme_runs() -> None:
    text = Path(basis_actors.bus.__file__).with_name("README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
