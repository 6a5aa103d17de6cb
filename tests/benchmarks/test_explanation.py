"""Outlines are laid on films of any size, and a measurement without a film fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import explanation
from bonexage.errors import UnusableData
from explanation import MASKS, near, outline, outlined_films
from learning.folders import data_folder_with


@pytest.fixture
def outlined(tmp_path: Path) -> Path:
    """Three drawn test films of 60 x 40; the first has both outlines (100 x 100), the second has one."""
    folder = data_folder_with(tmp_path / "rsna-299px", 3, split="test", size=(60, 40))
    for kind, films in zip(MASKS, ((1000, 1001), (1000,)), strict=True):
        (folder / "masks" / kind).mkdir(parents=True)
        for film in films:
            _mask().save(folder / "masks" / kind / f"{film}.png")
    return folder


def _mask() -> Image.Image:
    """A quarter of the film: its upper left."""
    mask = np.zeros((100, 100), np.uint8)
    mask[:50, :50] = 255
    return Image.fromarray(mask)


def test_outlines_are_scaled_to_the_film(outlined: Path) -> None:
    (one,) = outlined_films(outlined)
    assert one.film.id == "1000"
    assert one.bones.shape == one.radiograph.pixels.shape == (60, 40)
    assert one.bones[:30, :20].all()
    assert np.count_nonzero(one.bones) == 30 * 20


def test_an_outline_is_cut_as_its_film_is(outlined: Path) -> None:
    film = outlined / "boneage-test-dataset" / "1000.png"
    drawn = np.asarray(Image.open(film))
    Image.fromarray(np.pad(drawn, ((20, 20), (10, 30)), constant_values=255)).save(film)
    (one,) = outlined_films(outlined)
    assert one.bones.shape == one.radiograph.pixels.shape == (60, 40)
    assert one.bones[:30, :30].all()
    assert np.count_nonzero(one.bones) == 30 * 30


@pytest.mark.parametrize("shape", [(299, 299), (100, 100), (37, 512)])
def test_an_outline_covers_the_same_part_of_a_film_of_any_size(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    _mask().save(tmp_path / "mask.png")
    bones = outline(tmp_path / "mask.png", shape)
    assert bones.shape == shape
    assert bones.mean() == pytest.approx(0.25, abs=0.02)
    assert near(bones).mean() > bones.mean()


def test_a_folder_in_which_no_film_has_outlines_is_refused(outlined: Path) -> None:
    (outlined / "masks" / MASKS[1] / "1000.png").unlink()
    with pytest.raises(UnusableData, match="no test film has outlines"):
        list(outlined_films(outlined))


def test_a_model_that_refuses_every_film_ends_the_benchmark_with_1(
    outlined: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blank = Image.new("L", (40, 60), 90)
    for film in (outlined / "boneage-test-dataset").iterdir():
        blank.save(film)
    monkeypatch.setenv("BONEXAGE_DATA", str(outlined.parent))
    monkeypatch.setattr("sys.argv", ["explanation.py"])
    assert explanation.main() == 1
    assert "nothing is measured" in capsys.readouterr().out


def test_real_outlines_fit_their_films(data_folder: Path) -> None:
    films = list(outlined_films(data_folder / "rsna-299px"))
    assert len(films) == 84
    assert all(one.bones.shape == one.radiograph.pixels.shape for one in films)
    inside = [one.radiograph.pixels[one.bones].mean() for one in films]
    outside = [one.radiograph.pixels[~one.bones].mean() for one in films]
    assert np.mean(np.array(inside) > np.array(outside)) > 0.95
