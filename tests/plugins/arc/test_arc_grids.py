"""Canvases, crops and turns of ARC grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.arc import grid
from trm_bench.plugins.arc.grids import (
    EOS,
    TURNS,
    VOCAB_SIZE,
    Grid,
    crop_sizes,
    cropped,
    inverse_turns,
    moved,
    products,
    redrawn,
    to_canvases,
    turned,
)

SIDE = 6
GRIDS = st.tuples(st.integers(1, SIDE), st.integers(1, SIDE)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 9))
)
PLAIN = np.arange(VOCAB_SIZE, dtype=np.uint8)[None]


def picture(tokens: np.ndarray, side: int) -> list[str]:
    """A canvas as text: ``.`` padding, ``|`` the border, colours as digits."""
    return ["".join(".|0123456789"[token] for token in row) for row in tokens.reshape(side, side)]


def canvas(*rows: str) -> np.ndarray:
    """Undo `picture`, as (1, s, s)."""
    return np.array([[".|0123456789".index(letter) for letter in row] for row in rows], np.uint8)[None]


def test_a_grid_stands_in_the_corner_with_its_border_below_and_to_the_right() -> None:
    assert picture(to_canvases([grid([[1, 2, 0], [3, 4, 9]])], 5), 5) == [
        "120|.",
        "349|.",
        "|||..",
        ".....",
        ".....",
    ]


def test_a_grid_that_fills_the_canvas_has_no_border() -> None:
    assert picture(to_canvases([grid([[1, 2], [3, 4]])], 2), 2) == ["12", "34"]
    assert picture(to_canvases([grid([[1, 2]])], 2), 2) == ["12", "||"]


@given(GRIDS)
def test_what_is_drawn_is_read_back(drawn: Grid) -> None:
    assert np.array_equal(cropped(to_canvases([drawn], SIDE), SIDE)[0], drawn)


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        pytest.param(("12|.", "34|.", "||..", "...."), (2, 2), id="as it should be"),
        pytest.param(("12|7", "34|7", "||77", "7777"), (2, 2), id="junk beyond the border"),
        pytest.param(
            ("1234", "34|.", "||..", "...."), (1, 4), id="a ragged first row, as much area: fewest rows"
        ),
        pytest.param(("123.", "34|.", "56..", "...."), (3, 2), id="ragged: the largest rectangle"),
        pytest.param(("111.", "1.1.", "111.", "...."), (1, 3), id="padding inside"),
        pytest.param(("1...", "1...", "1...", "1..."), (4, 1), id="a column"),
        pytest.param(("|12.", "34..", "....", "...."), (0, 0), id="nothing in the corner"),
        pytest.param(("....", "....", "....", "...."), (0, 0), id="empty"),
        pytest.param(("||||", "||||", "||||", "||||"), (0, 0), id="border everywhere"),
    ],
)
def test_the_crop_is_the_largest_rectangle_of_colours_in_the_corner(
    answer: tuple[str, ...], size: tuple[int, int]
) -> None:
    assert tuple(crop_sizes(canvas(*answer))[0]) == size
    assert cropped(canvas(*answer), 4)[0].shape == size


@given(arrays(np.uint8, (5, SIDE, SIDE), elements=st.integers(0, VOCAB_SIZE - 1)))
def test_the_crop_agrees_with_trying_every_rectangle(canvases: np.ndarray) -> None:
    for one, size in zip(canvases, crop_sizes(canvases).tolist(), strict=True):
        areas = {
            (height, width): height * width
            for height in range(1, SIDE + 1)
            for width in range(1, SIDE + 1)
            if (one[:height, :width] > EOS).all()
        }
        assert size[0] * size[1] == max(areas.values(), default=0)
        assert not areas or size == list(max(areas, key=lambda shape: (areas[shape], -shape[0])))


def test_the_turns_are_eight_different_symmetries_and_a_group() -> None:
    probe = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (
        len({turned(probe, turn).tobytes() + bytes(turned(probe, turn).shape) for turn in range(TURNS)}) == 8
    )
    table = products()
    assert all(sorted(row) == list(range(TURNS)) for row in table.tolist())
    assert (table[0] == np.arange(TURNS)).all()


@given(GRIDS, st.integers(0, 7), st.integers(0, 7))
def test_products_and_inverses_of_turns_do_what_they_say(drawn: Grid, a: int, b: int) -> None:
    assert np.array_equal(turned(turned(drawn, b), a), turned(drawn, int(products()[a, b])))
    assert np.array_equal(turned(turned(drawn, a), int(inverse_turns()[a])), drawn)


@given(GRIDS, st.integers(0, 7))
def test_turning_on_the_canvas_is_turning_the_grid(drawn: Grid, turn: int) -> None:
    tokens = to_canvases([drawn], SIDE).reshape(1, SIDE, SIDE)
    corner = np.zeros((1, 2), np.int64)
    result = redrawn(tokens, crop_sizes(tokens), np.array([turn]), PLAIN, corner)
    assert np.array_equal(result, to_canvases([turned(drawn, turn)], SIDE))


@given(GRIDS, st.data())
def test_a_moved_grid_keeps_its_border_and_is_moved_back(drawn: Grid, data: st.DataObject) -> None:
    room = [data.draw(st.integers(0, SIDE - size)) for size in drawn.shape]
    tokens = to_canvases([drawn], SIDE).reshape(1, SIDE, SIDE)
    corner = np.array([room])
    away = redrawn(tokens, crop_sizes(tokens), np.zeros(1, np.int64), PLAIN, corner).reshape(1, SIDE, SIDE)
    assert (away[0, : room[0]] == 0).all()
    assert (away[0, :, : room[1]] == 0).all()
    border = int((away == EOS).sum())
    assert border == sum(
        size
        for size, start, other in zip(drawn.shape, room[::-1], drawn.shape[::-1], strict=True)
        if start + other < SIDE
    )
    assert np.array_equal(cropped(moved(away, corner).reshape(1, -1), SIDE)[0], drawn)
