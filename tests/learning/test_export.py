"""A bundle gives the months of the network it was made from, and the published checkpoints' too."""

from __future__ import annotations

import csv
from collections import Counter, OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bonexage
from bonexage.atlas.plates import read_plates
from bonexage.errors import BundleError, UnusableData, WrongUse
from bonexage.learning import graph
from bonexage.learning.card import write_card
from bonexage.learning.checkpoint import load_checkpoint
from bonexage.learning.export import export_run, import_checkpoint, published_network
from bonexage.learning.graph import Explained, largest_difference_months, to_onnx
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import InputRecipe, NetworkRecipe, Recipe, recipe_to_table
from bonexage.learning.start import empty_network, read_state
from bonexage.learning.train import train
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.frame import views_of, whole_film
from bonexage.model.locate import Locator
from bonexage.model.nearest import PlateEmbeddings
from bonexage.model.preprocess import Preprocessing, normalise, place
from bonexage.model.runtime import Runtime
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex
from films import plate_picture, write_film
from learning.folders import data_folder_with
from learning.test_train import TINY
from model.test_locate import at_rest, fixed_locator
from models import small_description


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return train(
        replace(TINY, stages=TINY.stages[:1]), [data_folder_with(folder / "data", 30)], folder / "run"
    )


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    return export_run(run, run.parent / "bundle", with_weights=True)


def test_a_bundle_says_where_it_comes_from(run: Path, bundle: Bundle) -> None:
    described = load_bundle(run.parent / "bundle").description
    assert described.name == "tiny"
    assert described.backbone == "test_convnext"
    assert "random" in described.started_from
    assert described.recipe["stages"][0]["height"] == 64
    assert "about" not in described.recipe, "it is of other runs, and names the machine they had"
    assert described.data["folders"] == [{"name": "data", "films": 30}]
    assert described.onnx_difference_months is not None
    assert described.onnx_difference_months <= 0.05
    with (run / "films.csv").open(encoding="utf-8") as file:
        films = Counter(film["part"] for film in csv.DictReader(file))
    assert described.figures["validation"]["all"]["films"] == films["validation"]
    assert described.calibration is not None
    assert described.calibration.count == films["calibration"]
    assert described.calibration.network == described.sha256["model.onnx"]
    assert described.calibration.spread is not None
    assert described.calibration.rounding is not None
    assert described.name in bundle.card
    assert "Halabi" in bundle.card
    assert "not for diagnosis" in bundle.card


def test_a_plate_is_nearest_to_itself_in_what_the_network_makes_of_plates(bundle: Bundle) -> None:
    assert bundle.plates is not None
    known = PlateEmbeddings(bundle.plates)
    runtime, how = Runtime(bundle.onnx), bundle.description.preprocessing
    for plate in read_plates()[::5]:
        film = plate_picture(plate)
        placed = place(film, how, whole_film(film.shape))
        male = np.array([[plate.sex is Sex.MALE]], np.float32)
        given = runtime.run(normalise(placed[np.newaxis], how), male)
        found = known.nearest(given.embedding[0], plate.sex)
        assert found is not None
        assert (found.sha256, found.months) == (plate.sha256, pytest.approx(plate.mean_months))


def test_the_card_tells_figures_by_sex_and_age_and_what_training_took(run: Path, bundle: Bundle) -> None:
    with (run / "films.csv").open(encoding="utf-8") as file:
        films = [film for film in csv.DictReader(file) if film["part"] == "validation"]
    rows = [line.split("|") for line in bundle.card.splitlines() if line.startswith("| ")]
    told = {row[1].strip(): int(row[2]) for row in rows if row[2].strip().isdigit()}
    sexes = Counter({"F": "girls", "M": "boys"}[film["sex"]] for film in films)
    bands = Counter(int(float(film["bone_age_months"]) // 24 * 24) for film in films)
    by_age = {f"{low} to {low + 24} months": count for low, count in bands.items()}
    assert told == {"all": len(films), "data": len(films), **sexes, **by_age}
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    assert f"run: {len(seconds)} epochs in {sum(seconds) / 60:.0f} minutes, on " in bundle.card


def test_prediction_gives_what_training_saw(run: Path, bundle: Bundle) -> None:
    # Inference that normalises unlike training is one of the defects of the published code.
    film = next((run.parent / "data" / "boneage-training-dataset").glob("*.png"))
    network = empty_network(TINY.network)
    network.load_state_dict(load_checkpoint(run / "best.pt")["average"])
    how = bundle.description.preprocessing
    placed = normalise(place(read_radiograph(film).pixels, how)[np.newaxis], how)
    with torch.no_grad():
        expected = float(network.eval()(torch.from_numpy(placed), torch.ones(1, 1)))
    assessed = bonexage.load(run.parent / "bundle").assess(str(film), sex="M")
    assert assessed.bone_age_months == pytest.approx(expected, abs=0.01)


def test_figures_and_intervals_are_of_the_views_that_are_read_by_default(tmp_path: Path) -> None:
    data = data_folder_with(tmp_path / "data", 30)
    (tmp_path / "locator.onnx").write_bytes(fixed_locator(at_rest()))
    recipe = replace(TINY, stages=TINY.stages[:1], input=InputRecipe(geometry="hand"))
    run = train(recipe, [data], tmp_path / "run", locator=tmp_path / "locator.onnx")
    bundle = export_run(run, tmp_path / "bundle", views=3)
    said = bundle.description
    assert said.default_views == 3
    assert "mean of 3 views" in bundle.card
    with (run / "films.csv").open(encoding="utf-8") as table:
        films = [row for row in csv.DictReader(table) if row["part"] == "validation"]
    missed = [_of_three_views(bundle, data, row) - float(row["bone_age_months"]) for row in films]
    assert said.figures["validation"]["all"]["films"] == len(missed)
    figure = said.figures["validation"]["all"]["mae_months"]["value"]
    assert figure == pytest.approx(float(np.abs(missed).mean()), abs=1e-3)
    finds_none = train(replace(recipe, input=InputRecipe()), [data], tmp_path / "other")
    with pytest.raises(WrongUse, match="finds no hand"):
        export_run(finds_none, tmp_path / "none", views=3)


def _of_three_views(bundle: Bundle, data: Path, row: dict[str, str]) -> float:
    """The mean of what a bundle's network makes of three views of a film's hand."""
    assert bundle.locator
    how = bundle.description.preprocessing
    pixels = read_radiograph(data / "boneage-training-dataset" / f"{row['id']}.png").pixels
    views = [place(pixels, how, each) for each in views_of(Locator(bundle.locator).find(pixels).frame, 3)]
    male = np.full((3, 1), row["sex"] == "M", dtype=np.float32)
    return float(Runtime(bundle.onnx).run(normalise(np.stack(views), how), male).months.mean())


def test_the_weights_in_a_bundle_start_another_training(run: Path, bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.weights is not None
    (tmp_path / "weights.safetensors").write_bytes(bundle.weights)
    saved = load_checkpoint(run / "best.pt")["average"]
    assert all(torch.equal(saved[k], v) for k, v in read_state(tmp_path / "weights.safetensors").items())


def test_data_that_changed_since_is_refused(tmp_path: Path) -> None:
    data = data_folder_with(tmp_path / "data", 20)
    run = train(replace(TINY, stages=TINY.stages[:1]), [data], tmp_path / "run")
    write_film(data / "boneage-training-dataset" / "1002.png", seed=77)
    with pytest.raises(UnusableData, match="no longer"):
        export_run(run, tmp_path / "bundle")
    data.rename(tmp_path / "moved")
    with pytest.raises(WrongUse, match="not there"):
        export_run(run, tmp_path / "bundle")


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no readable"):
        export_run(tmp_path, tmp_path / "bundle")


SMALL = NetworkRecipe(backbone="test_convnext")
KINDS = {
    "as published": SMALL,
    "average pooling": replace(SMALL, pooling="average"),
    "linear output": replace(SMALL, output="linear"),
    "no sex": replace(SMALL, sex=False),
    "all three": replace(SMALL, pooling="average", output="linear", sex=False),
}
every_kind = pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS.keys())


def network_with_life(seed: int = 3, recipe: NetworkRecipe = SMALL) -> BoneAgeNetwork:
    """A small network whose BatchNorms have seen something, in use."""
    torch.manual_seed(seed)
    network = empty_network(recipe)
    for _ in range(5):
        network(torch.randn(8, 1, 64, 64), torch.rand(8, 1).round())
    return network.eval()


def test_a_graph_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_with_life()
    onnx = to_onnx(network, Preprocessing(height=64, width=64))
    films = np.random.default_rng(0).standard_normal((3, 1, 64, 64), dtype=np.float32)
    male = np.array([[0.0], [1.0], [0.0]], dtype=np.float32)
    assert largest_difference_months(network, onnx, films, male) < 0.01
    with torch.no_grad():
        network.head[8].bias += 0.01
    with pytest.raises(BundleError, match="differs"):
        graph.largest_difference_months(network, onnx, films, male)


@every_kind
def test_the_graph_takes_any_batch_and_size(recipe: NetworkRecipe) -> None:
    network = network_with_life(recipe=recipe)
    runtime = Runtime(to_onnx(network, Preprocessing(height=64, width=64)))
    for batch, height, width in ((1, 64, 64), (3, 96, 64), (2, 128, 160)):
        films = torch.randn(batch, 1, height, width)
        male = torch.ones(batch, 1)
        out = runtime.run(films.numpy(), male.numpy())
        with torch.no_grad():
            assert np.allclose(out.months, network(films, male).numpy(), atol=0.01)
        assert out.activation_map is not None
        assert out.activation_map.shape == (batch, height // 32, width // 32)
        assert out.embedding is not None
        assert out.embedding.shape == (batch, network.channels)
        assert out.views is not None
        assert np.array_equal(out.views[:, 0], out.months)


@every_kind
def test_the_activation_map_is_what_autograd_gives(recipe: NetworkRecipe) -> None:
    network = network_with_life(recipe=recipe)
    films, male = torch.randn(2, 1, 96, 64), torch.tensor([[0.0], [1.0]])
    features = network.feature_map(films).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(network.months(network.pool(features), male).sum(), features)
    # GeM cuts features off below; the mean takes them as they are.
    features = features.clamp(min=1e-6) if recipe.pooling == "gem" else features
    expected = (slope * features).sum(dim=1)
    with torch.no_grad():
        found = Explained(network)(films, male)[2]
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found, expected, atol=1e-4, rtol=1e-3)


def test_a_mirrored_graph_answers_alike_for_a_film_and_its_mirror_image() -> None:
    network = network_with_life()
    runtime = Runtime(to_onnx(network, Preprocessing(height=64, width=64), mirror=True))
    film, male = torch.randn(1, 1, 64, 96), torch.ones(1, 1)
    with torch.no_grad():
        either = [float(network(one, male)) for one in (film, film.flip(-1))]
    assert abs(either[0] - either[1]) > 1e-3
    upright, mirrored = (runtime.run(one.numpy(), male.numpy()) for one in (film, film.flip(-1)))
    for given, views in ((upright, either), (mirrored, either[::-1])):
        assert given.months[0] == pytest.approx(sum(either) / 2, abs=0.01)
        assert given.views is not None
        assert given.views[0].tolist() == pytest.approx(views, abs=0.01)
    assert upright.embedding is not None
    assert mirrored.embedding is not None
    assert np.allclose(upright.embedding, mirrored.embedding, atol=1e-4)


def test_the_map_of_a_mirrored_graph_lies_on_the_film_as_it_was_given() -> None:
    network, how = network_with_life(), Preprocessing(height=64, width=96)
    film, male = torch.randn(1, 1, 64, 96), torch.ones(1, 1)
    single, both = (Runtime(to_onnx(network, how, mirror=mirror)) for mirror in (False, True))
    alone, turned = (single.run(one.numpy(), male.numpy()) for one in (film, film.flip(-1)))
    together = both.run(film.numpy(), male.numpy())
    assert alone.activation_map is not None
    assert turned.activation_map is not None
    assert together.activation_map is not None
    expected = (alone.activation_map + turned.activation_map[..., ::-1]) / 2
    unturned = (alone.activation_map + turned.activation_map) / 2
    assert not np.allclose(unturned, expected, atol=1e-3)
    assert np.allclose(together.activation_map, expected, atol=1e-4)


@pytest.mark.parametrize("mirror", [False, True])
def test_several_networks_as_one_give_the_mean_of_their_months_and_maps(mirror: bool) -> None:
    networks = [network_with_life(seed) for seed in (3, 4, 5)]
    how = Preprocessing(height=64, width=64)
    films, male = torch.randn(2, 1, 96, 64).numpy(), np.array([[0.0], [1.0]], dtype=np.float32)
    apart = [Runtime(to_onnx(network, how, mirror=mirror)).run(films, male) for network in networks]
    onnx = to_onnx(networks, how, mirror=mirror)
    together = Runtime(onnx).run(films, male)
    assert np.ptp([one.months[0] for one in apart]) > 1
    assert np.allclose(together.months, np.mean([one.months for one in apart], axis=0), atol=1e-3)
    maps = [one.activation_map for one in apart if one.activation_map is not None]
    assert together.activation_map is not None
    assert np.allclose(together.activation_map, np.mean(maps, axis=0), atol=1e-4)
    embeddings = [one.embedding for one in apart if one.embedding is not None]
    assert together.embedding is not None
    assert np.allclose(together.embedding, np.concatenate(embeddings, axis=1), atol=1e-4)
    views = [one.views for one in apart if one.views is not None]
    assert together.views is not None
    assert np.allclose(together.views, np.concatenate(views, axis=1), atol=1e-3)
    assert largest_difference_months(networks, onnx, films, male, mirror=mirror) < 0.01


def test_a_card_says_what_follows_the_backbone() -> None:
    assert "GeM pooling, sex encoder, head with Mish, sigmoid * 240." in write_card(
        small_description(figures={})
    )
    table = recipe_to_table(Recipe("other", network=KINDS["all three"]))
    card = write_card(small_description(figures={}, recipe=table))
    assert "average pooling, no sex, head with Mish, a line through 120 months, without bounds." in card


class PublishedGeM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.ones(1) * 3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x.clamp(min=1e-6).pow(self.p), x.shape[-2:]).pow(1.0 / self.p)


class PublishedSexEncoder(nn.Module):
    def __init__(self, *, second_norm: bool) -> None:
        super().__init__()
        second = [nn.BatchNorm1d(32)] if second_norm else []
        self.fc = nn.Sequential(
            nn.Linear(1, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 32), *second, nn.ReLU()
        )


class Published(nn.Module):
    """The network as published, written out here on its own."""

    def __init__(self, *, second_norm: bool = False) -> None:
        super().__init__()
        from torchvision.models import convnext_tiny

        self.features = convnext_tiny().features
        self.pool = PublishedGeM()
        self.sex_encoder = PublishedSexEncoder(second_norm=second_norm)
        self.head = nn.Sequential(
            nn.BatchNorm1d(800),
            nn.Dropout(0.5),
            nn.Linear(800, 512),
            nn.Mish(),
            nn.BatchNorm1d(512),
            nn.Dropout(0.4),
            nn.Linear(512, 64),
            nn.Mish(),
            nn.Linear(64, 1),
        )

    def forward(self, image: Tensor, sex: Tensor) -> Tensor:
        pooled = self.pool(self.features(image)).flatten(1)
        fused = torch.cat([pooled, self.sex_encoder.fc(sex)], dim=1)
        return torch.sigmoid(self.head(fused)).squeeze(1) * 240


def published_with_life(*, second_norm: bool = False) -> Published:
    torch.manual_seed(5)
    network = Published(second_norm=second_norm)
    network(torch.randn(4, 3, 64, 64), torch.tensor([[0.0], [1.0], [1.0], [0.0]]))
    return network.eval()


@pytest.mark.parametrize("second_norm", [False, True])
@pytest.mark.parametrize("form", ["bare", "module", "wrapped"])
def test_every_published_form_gives_the_published_months(
    tmp_path: Path, second_norm: bool, form: str
) -> None:
    published = published_with_life(second_norm=second_norm)
    state = published.state_dict()
    if form == "module":
        state = OrderedDict((f"module.{key}", value) for key, value in state.items())
    torch.save({"epoch": 7, "model_state_dict": state} if form == "wrapped" else state, tmp_path / "net.pth")
    network, backbone = published_network(read_state(tmp_path / "net.pth"), "net.pth")
    assert backbone == "convnext_tiny"
    image, sex = torch.randn(2, 1, 64, 96).repeat(1, 3, 1, 1), torch.tensor([[0.0], [1.0]])
    with torch.no_grad():
        assert torch.allclose(network(image, sex), published(image, sex), atol=1e-3)


def test_an_imported_bundle_gives_the_published_months(tmp_path: Path) -> None:
    published = published_with_life()
    torch.save(published.state_dict(), tmp_path / "net.pth")
    film = write_film(tmp_path / "hand.png", height=512, width=512)
    squashed = torch.from_numpy(read_radiograph(film).pixels)[None, None].repeat(1, 3, 1, 1)
    half = (squashed - 0.5) / 0.5
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    imagenet = (squashed - mean) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    import_checkpoint(tmp_path / "net.pth", tmp_path / "half")
    import_checkpoint(tmp_path / "net.pth", tmp_path / "imagenet", normalise="imagenet")
    for name, image in (("half", half), ("imagenet", imagenet)):
        with torch.no_grad():
            expected = float(published(image, torch.ones(1, 1)))
        assessed = bonexage.load(tmp_path / name).assess(str(film), sex="M")
        assert assessed.bone_age_months == pytest.approx(expected, abs=0.05)
        assert assessed.interval is None


def test_a_checkpoint_of_something_else_is_said(tmp_path: Path) -> None:
    state = published_with_life().state_dict()
    with pytest.raises(WrongUse, match="no checkpoint of the published network"):
        published_network({"head.0.weight": torch.zeros(99)}, "x.pth")
    with pytest.raises(WrongUse, match=r"lacks head\.8\.bias"):
        published_network({key: value for key, value in state.items() if key != "head.8.bias"}, "x.pth")
    with pytest.raises(WrongUse, match=r"no place for: head\.9"):
        published_network({**state, "head.9.weight": torch.zeros(1)}, "x.pth")
    with pytest.raises(WrongUse, match=r"another shape than the network for head\.2"):
        published_network({**state, "head.2.weight": torch.zeros(2, 2)}, "x.pth")
