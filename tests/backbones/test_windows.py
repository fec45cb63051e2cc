"""Windows cover each residue once, and let it see its neighbours."""

from __future__ import annotations

import pytest

from lowmem_fold.backbones.windows import Window, windows


def test_by_hand():
    assert windows(10, 6, 2) == [Window(0, 6, 0, 5), Window(4, 10, 5, 10)]
    assert windows(9, 4, 0) == [Window(0, 4, 0, 3), Window(2, 6, 3, 5), Window(5, 9, 5, 9)]


@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (2, 1), (7, 3), (7, 6), (10, 0), (50, 12)])
def test_any_length(size, overlap):
    for length in range(size + 1, 8 * size + 3):
        found = windows(length, size, overlap)
        assert [place for window in found for place in range(window.first, window.last)] == list(range(length))
        assert len(found) == 1 + -(-(length - size) // (size - overlap))  # as few as can be
        for window in found:
            assert window.end - window.start == size
            before = window.first - window.start
            after = window.end - window.last
            assert window.start == 0 if window.first == 0 else before >= overlap // 2
            assert window.end == length if window.last == length else after >= overlap // 2
