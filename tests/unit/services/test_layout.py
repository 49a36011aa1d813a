"""Where the services' files lie, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import ServiceError
from sparky.services.layout import LONGEST_SOCKET, SOCKET_PATH_MAX, prepare, run_folder

names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=200)


@given(st.lists(names, min_size=1, max_size=5))
def test_every_socket_fits_into_what_the_kernel_allows_and_needs_no_quoting(
    parts: list[str],
) -> None:
    path = str(run_folder(Path("/", *parts)) / LONGEST_SOCKET)
    assert len(os.fsencode(path)) <= SOCKET_PATH_MAX
    assert not set(path) & set(" ,:?#%&'\"\\\n")


def test_two_deep_folders_do_not_share_their_sockets() -> None:
    deep = Path("/", "x" * 200)
    assert run_folder(deep / "a") != run_folder(deep / "b")


def test_the_folders_are_for_this_user_alone(tmp_path: Path) -> None:
    layout = prepare(tmp_path / "state")
    for folder in (layout.state, layout.run, layout.logs):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_socket_folder_that_others_can_open_is_refused(tmp_path: Path) -> None:
    run = prepare(tmp_path).run
    run.chmod(0o755)
    with pytest.raises(ServiceError, match=f"{run} is not a folder that only you can open"):
        prepare(tmp_path)


def test_a_link_in_the_place_of_the_socket_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(elsewhere)
    with pytest.raises(ServiceError, match="only you can open"):
        prepare(tmp_path)


def test_the_state_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = Path("/")
    if folder.stat().st_uid == os.getuid():
        folder = tmp_path
        os.chown(folder, 12345, -1)
    with pytest.raises(ServiceError, match=f"{folder} belongs to another user"):
        prepare(folder)
