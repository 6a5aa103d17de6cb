"""Films wrapped as DX as a modality would write them, in many transfer syntaxes made with DCMTK."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid

from bonexage.atlas.plates import read_plates
from bonexage.reading.folder import read_split
from bonexage.subject import Sex
from clinic_live.servers import run
from dicoms import ROOT, dataset, write_dicom

REAL = "rsna-640px"
SIDE = 640


@dataclass(frozen=True)
class Packing:
    """How DCMTK packs a film, command after command; what storescu proposes; whether bits are lost."""

    syntax: str
    commands: tuple[tuple[str, ...], ...]
    propose: str
    lossy: bool = False
    bits: int = 12


PACKINGS = {
    "explicit": Packing(uid.ExplicitVRLittleEndian, (("dcmconv", "+te"),), "-xe"),
    "implicit": Packing(uid.ImplicitVRLittleEndian, (("dcmconv", "+ti"),), "-xi"),
    "big endian": Packing(uid.ExplicitVRBigEndian, (("dcmconv", "+tb"),), "-xb"),
    "deflated": Packing(uid.DeflatedExplicitVRLittleEndian, (("dcmconv", "+td"),), "-xd"),
    "RLE": Packing(uid.RLELossless, (("dcmcrle",),), "-xr"),
    "JPEG lossless": Packing(uid.JPEGLosslessSV1, (("dcmcjpeg", "+e1"),), "-xs"),
    "JPEG lossless and back": Packing(
        uid.ExplicitVRLittleEndian, (("dcmcjpeg", "+e1"), ("dcmdjpeg",)), "-xe"
    ),
    "JPEG-LS": Packing(uid.JPEGLSLossless, (("dcmcjpls", "+el"),), "-xt"),
    "JPEG baseline": Packing(uid.JPEGBaseline8Bit, (("dcmcjpeg", "+eb", "+q", "95"),), "-xy", True, 8),
    "JPEG extended": Packing(uid.JPEGExtended12Bit, (("dcmcjpeg", "+ee", "+q", "95"),), "-xx", True),
}


@dataclass(frozen=True)
class Film:
    """A film on disk, plain as it was wrapped and packed as it is sent."""

    name: str
    sex: Sex
    plain: Path
    packed: Path
    packing: Packing
    study_uid: str


def pictures() -> Iterator[tuple[NDArray[np.float32], Sex, float]]:
    """Pictures `[height, width]` in [0, 1] with sex and an age: real films where they are, else plates."""
    folder = os.environ.get("BONEXAGE_DATA")
    if folder and (Path(folder) / REAL).is_dir():
        films, _ = read_split(Path(folder) / REAL, "test")
        for film in films[:: max(1, len(films) // 12)]:
            yield _grey(film.path), film.sex, film.bone_age_months
    for plate in read_plates()[2:]:
        yield _grey(plate.path), plate.sex, plate.mean_months


def films(folder: Path, names: tuple[str, ...] = tuple(PACKINGS), *, first: int = 0) -> list[Film]:
    """A film for each packing, each of another child; `first` tells sets of films apart."""
    shown = islice(pictures(), first, first + len(names))
    return [
        _film(folder, name, first + number, picture, sex, months)
        for number, (name, (picture, sex, months)) in enumerate(zip(names, shown, strict=True))
    ]


def _film(
    folder: Path, name: str, number: int, picture: NDArray[np.float32], sex: Sex, months: float
) -> Film:
    packing = PACKINGS[name]
    study = f"{ROOT}.7.{number}"
    made = dataset(
        np.rint(picture * (2**packing.bits - 1)).astype(np.uint8 if packing.bits == 8 else np.uint16),
        bits=packing.bits,
        number=700 + number,
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.1",
        PatientID=f"CLINIC-{number}",
        PatientName=f"Clinic^{number}",
        PatientSex=sex.value,
        PatientAge=f"{round(months) + 6:03d}M",
        PatientBirthDate="",
        StudyTime="101500",
        StudyID=str(number),
        SeriesNumber=1,
        InstanceNumber=1,
        AccessionNumber=f"ACC{number}",
        ReferringPhysicianName="",
        StudyDescription="Bone age",
        BodyPartExamined="HAND",
        ImageLaterality="L",
        ViewPosition="PA",
        PresentationIntentType="FOR PRESENTATION",
        BurnedInAnnotation="NO",
        ImagerPixelSpacing=[0.2, 0.2],
    )
    stem = name.replace(" ", "-")
    plain = write_dicom(folder / f"{stem}-plain.dcm", made)
    at = plain
    for step, (command, *options) in enumerate(packing.commands):
        out = folder / f"{stem}-{step}.dcm"
        run(command, *options, at, out)
        at = out
    return Film(name, sex, plain, at, packing, study)


def _grey(path: Path) -> NDArray[np.float32]:
    with Image.open(path) as picture:
        grey = picture.convert("L")
        grey.thumbnail((SIDE, SIDE))
        return np.asarray(grey, dtype=np.float32) / 255
