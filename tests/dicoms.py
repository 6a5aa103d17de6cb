"""DICOM files made in the test: drawn hands as CR, DX and Secondary Capture, packed in many ways."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from hands import drawn_hand

CR = uid.ComputedRadiographyImageStorage
DX = uid.DigitalXRayImageStorageForPresentation
SC = uid.SecondaryCaptureImageStorage
BY_GDCM = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
HTJ2K_VALUES = np.add.outer(np.arange(32) * 75, np.arange(32) * 45).astype(np.uint16)
HTJ2K_FRAME = (
    "|4;u>04YEK0000W0000W00000000000000W0000W0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kd"
    "Tm&kdTmwh=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00000#sC5TlfVEbYxe~QbO68r6F>kH0BrsOhjak8`U3}a0KfnfzyK3"
    "~G->_<0(1ac)#?DFQ~<yL6)*q=SeTfYn5uDtbpWcWQl;v^LILcy0Kfnh@Bjs-NF)-8L?V&r%6fWn0(byWp`f6kprD}s{fuCH_A!C%x"
    "&XicEtmiW(Eu2RVHk#C7=~dOhGF^t3VM2adU|?rf_(s#6bgkxp-?Ck3WY+UQ2zgTV1x(1Vh|qvh(LSxApz{O0sq+"
)
ROOT = "1.2.826.0.1.3680043.8.498.1"


def hand_values(bits: int = 12, *, height: int = 60, width: int = 48, seed: int = 0) -> NDArray[np.uint16]:
    """A drawn hand in so many bits, bone high."""
    return np.rint(drawn_hand(height, width, seed) * (2**bits - 1)).astype(np.uint16)


def dataset(
    values: NDArray[Any] | None = None,
    *,
    bits: int = 12,
    sop_class: str = DX,
    syntax: str = uid.ExplicitVRLittleEndian,
    number: int = 1,
    **elements: Any,
) -> Dataset:
    """A film of stored values `[height, width]` or `[height, width, 3]`; keywords set elements of it."""
    values = hand_values(bits) if values is None else values
    colour = values.ndim == 3
    cell = 8 if colour or values.dtype.itemsize == 1 else values.dtype.itemsize * 8
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = f"{ROOT}.3.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2"
    made.Modality = {CR: "CR", DX: "DX"}.get(uid.UID(sop_class), "OT")
    made.StudyDate, made.PatientID, made.PatientName = "20260115", "drawn", "Drawn^Hand"
    made.Rows, made.Columns = values.shape[:2]
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    made.BitsAllocated, made.BitsStored = cell, 8 if colour else bits
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(np.issubdtype(values.dtype, np.signedinteger))
    if colour:
        made.PlanarConfiguration = 0
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    made.PixelData = values.astype(values.dtype.newbyteorder(order)).tobytes()
    made["PixelData"].VR = "OB" if cell == 8 else "OW"
    return made


def packed(made: Dataset, syntax: str) -> bytes:
    """The file's bytes with its pixels packed, by GDCM or by what pydicom packs with."""
    if uid.UID(syntax) not in BY_GDCM:
        made.compress(syntax, generate_instance_uid=False)
        return as_bytes(made)
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        plain, out = Path(folder) / "plain.dcm", Path(folder) / "packed.dcm"
        write_dicom(plain, made)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(out))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return out.read_bytes()


def htj2k(syntax: str) -> tuple[Dataset, NDArray[np.uint16]]:
    """A slope of grey packed as High-Throughput JPEG 2000 by OpenJPH 0.26, which no plugin here writes."""
    made = dataset(HTJ2K_VALUES, bits=16)
    made.PixelData = encapsulate([base64.b85decode(HTJ2K_FRAME)])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = syntax
    return made, HTJ2K_VALUES


def as_bytes(made: Dataset) -> bytes:
    """The file's bytes."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def write_dicom(path: Path, made: Dataset | None = None) -> Path:
    """Write a film, the drawn hand if none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_bytes(dataset() if made is None else made))
    return path
