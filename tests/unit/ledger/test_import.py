"""What the ledger costs before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import tidegate.ledger


def test_importing_the_package_does_not_load_the_database_libraries():
    seen = "import sys, tidegate.ledger; print([m for m in sys.modules if m.startswith(('sqlalchemy', 'alembic'))])"
    root = Path(tidegate.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", seen], check=True, capture_output=True, text=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_the_face_shows_nothing_but_the_ledger():
    assert tidegate.ledger.__all__ == ["Ledger"]
    with pytest.raises(AttributeError, match="no attribute 'engine_url'"):
        _ = tidegate.ledger.engine_url
