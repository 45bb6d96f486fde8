"""Settings that do not depend on a file."""

from pathlib import Path

import pytest

from tidegate.settings import load_settings


@pytest.mark.parametrize("base", ["/run/user/1000", f"/{'deep/' * 30}run"])
def test_sockets_lie_where_their_paths_are_short_enough(tmp_path: Path, base: str) -> None:
    settings = load_settings({"TIDEGATE_HOME": f"{tmp_path}/{'deep/' * 30}", "XDG_RUNTIME_DIR": base})
    longest = settings.runtime_dir / f"{'gateway-of-a-far-site'}-sampler.sock"
    assert len(str(longest).encode()) < 108
    assert settings.runtime_dir.is_relative_to("/run/user/1000" if base.startswith("/run") else "/tmp")
