"""The record of a rejected load."""

import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.loads.rejections import read_rejection, record_rejection
from stock_assets_tests.support.ledger_statements import recorded_statements
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, Scene, calm_source
from stock_assets_tests.support.steps import FIVE


def test_the_responses_of_all_bad_rows_are_read_together(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(backend, calm_source())
    sent = recorded_statements(monkeypatch)
    counts = []
    for symbols, sessions in ((FIVE.symbols[:4], FIRST_WEEK[:1]), (FIVE.symbols, FIRST_WEEK[:3])):
        for symbol in symbols:
            for session in sessions:
                scene.source.set_bar(symbol, session, BAD_BAR)
        scene.fetch(FIRST_WEEK)
        scene.deliver_again()
        load = scene.stage(FIRST_WEEK)
        verdicts = audit_load(scene, load)
        for key in backend.objects.keys("staged/rejections/"):
            backend.objects.delete(key)
        sent.clear()
        record_rejection(scene, load, verdicts)
        counts.append(len(sent))

        rejection = read_rejection(backend, load.load_id)
        assert rejection is not None
        assert list(rejection.findings) == [str(session) for session in sessions]
        for day, lines in rejection.findings.items():
            found = {line.split()[1]: line for line in lines if line.startswith("volume_not_negative: ")}
            assert set(found) == set(symbols)
            for symbol, line in found.items():
                [newest, *_] = backend.ledger.fetches(FetchKind.PRICES, symbol=symbol)
                assert f" {day}: " in line
                assert f", response {newest.response_key}. Remedy: " in line

    assert counts[0] == counts[1]
