"""Defects of the published code that no other test here watches for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bonexage.learning import epoch as passing
from bonexage.learning.dataset import Batch
from bonexage.learning.epoch import Job
from bonexage.learning.learner import Precision, choose_precision, first_state, learner_from
from bonexage.learning.processes import CPU, Group
from bonexage.learning.recipe import Optimiser
from bonexage.learning.show import Screen
from learning.test_train import TINY

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("bf16", "kind"), [(True, torch.bfloat16), (False, torch.float16)])
def test_mixed_precision_is_chosen_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, kind: torch.dtype
) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation
    )
    gpu = torch.device("cuda")
    assert choose_precision(TINY.optimiser, gpu) == Precision(gpu, kind)
    assert choose_precision(Optimiser(precision="float32"), gpu).autocast is None
    assert choose_precision(TINY.optimiser, CPU).autocast is None
    assert choose_precision(Optimiser(precision="bfloat16"), CPU) == Precision(CPU, torch.bfloat16)


def test_mixed_precision_is_used_and_not_only_chosen(tmp_path: Path) -> None:
    precision = Precision(CPU, torch.bfloat16)
    learner = learner_from(first_state(TINY, None, lambda line: None), TINY, precision)
    kinds = []
    first = next(layer for layer in learner.network.modules() if isinstance(layer, torch.nn.Conv2d))
    first.register_forward_hook(lambda layer, shown, given: kinds.append(given.dtype))
    batch = Batch(torch.zeros(2, 1, 64, 64, dtype=torch.uint8), torch.ones(2, 1), torch.tensor([60.0, 90.0]))
    job = Job(TINY, tmp_path, Group(), precision, Screen())
    loss, _ = passing._step(job, [(np.arange(2), batch)], 2, 1e-3, learner)
    assert kinds == [torch.bfloat16]
    assert 0 < loss / 2 < 240


def test_no_gpu_number_is_written_in() -> None:
    sources = [*ROOT.glob("src/**/*.py"), ROOT / "train.py", ROOT / "predict.py"]
    assert len(sources) > 20
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"cuda:\d|\.cuda\(\d|device_ids|CUDA_VISIBLE_DEVICES", text), source


def test_no_warning_is_silenced_by_importing_or_training() -> None:
    code = (
        "import warnings, numpy, PIL.Image, rich.console, typer; before = list(warnings.filters); "
        "import bonexage, bonexage.cli, bonexage.evaluation.evaluate; ours = list(warnings.filters); "
        "assert ours == before, ours; "
        "import torch, torchvision, timm; theirs = list(warnings.filters); "
        "import bonexage.learning.train, bonexage.learning.export; "
        "assert list(warnings.filters) == theirs"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
