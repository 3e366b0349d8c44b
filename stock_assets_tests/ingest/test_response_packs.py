"""Old responses are packed if the ledger knows them and they are intact; a packed response is loaded as before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import FetchKind
from stock_assets.backends.local.packs import opened_pack
from stock_assets.core.errors import DamagedResponses
from stock_assets.ingest.response_packs import PACK_AFTER, pack_responses
from stock_assets_tests.support.scenes import FIRST_WEEK, TWO_WEEKS, Scene, calm_source, content, rebuilt
from stock_assets_tests.support.steps import FIVE, local_backend

NOW = datetime.now(UTC)
LATER = NOW + PACK_AFTER + timedelta(hours=1)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A backend with stored responses of five symbols."""
    scene = Scene(local_backend(tmp_path / "data"), calm_source())
    scene.fetch(TWO_WEEKS)
    return scene


def single_files(scene: Scene) -> list[str]:
    """Return the names of the price responses that are single files."""
    return sorted(entry.key.rpartition("/")[2] for entry in scene.backend.objects.entries("raw/daily_prices/"))


def test_packed_responses_are_staged_and_published_as_single_files_are(scene: Scene, tmp_path: Path) -> None:
    stored = len(scene.backend.objects.keys("raw/"))
    assert pack_responses(scene.backend, NOW) == 0, "young responses stay files"
    assert pack_responses(scene.backend, LATER) == stored
    assert pack_responses(scene.backend, LATER) == 0

    scene.run(FIRST_WEEK)
    scene.run(TWO_WEEKS)

    assert content(scene.backend) == rebuilt(local_backend(tmp_path / "rebuilt"), scene, TWO_WEEKS)
    assert single_files(scene) == []


def test_files_that_the_ledger_does_not_know_and_damaged_responses_stay_files(scene: Scene) -> None:
    key = scene.backend.ledger.fetches(FetchKind.PRICES, symbol="IBM")[0].response_key
    Path(scene.backend.objects.uri(key)).write_bytes(b"damaged")
    scene.backend.objects.put(key.replace("IBM", "OTHER"), b"a copied response")
    scene.backend.objects.put("raw/daily_prices/landed.csv", b"a landing file")

    pack_responses(scene.backend, LATER)

    assert single_files(scene) == ["IBM.csv", "OTHER.csv", "landed.csv"]


def test_a_damaged_pack_stops_a_load_and_the_responses_can_be_requested_again(scene: Scene, tmp_path: Path) -> None:
    pack_responses(scene.backend, LATER)
    [pack] = (tmp_path / "data/raw/packs/daily_prices").rglob("*.zip")
    pack.write_bytes(b"")
    opened_pack.cache_clear()

    with pytest.raises(DamagedResponses, match=f"cannot be read: the pack {pack} is damaged") as raised:
        scene.stage(TWO_WEEKS)
    assert len(raised.value.damage) == len(FIVE.symbols)

    scene.deliver_again()
    assert scene.stage(TWO_WEEKS).rows == len(TWO_WEEKS) * len(FIVE.symbols)
