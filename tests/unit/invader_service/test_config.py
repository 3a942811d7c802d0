"""Settings of galleries and thresholds, and what does not go together."""

from pathlib import Path

import pytest

from invader_service.config import InvaderSettings
from rpc.settings import read_settings


def settings(*arguments: str) -> InvaderSettings:
    return read_settings(InvaderSettings, program="invader-service", arguments=list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--matchers", "facenet"], "--matchers: expected --gallery DIR beside it"),
        (["--impostors", "d", "--gallery", "g"], "--thresholds, --impostors: expected both or none"),
        (["--thresholds", "fpir:0.1", "--gallery", "g"], "--thresholds, --impostors: expected both or none"),
        (["--thresholds", "fpir:0.1", "--impostors", "d"], "expected --gallery DIR beside them"),
        (["--given-thresholds", "dlib:0.6"], "expected --gallery DIR beside them"),
        (["--given-thresholds", "dlib", "--gallery", "g"], "--given-thresholds: expected MATCHER:NUMBER"),
        (["--given-thresholds", "a:1,a:2", "--gallery", "g"], "each matcher once"),
        (["--given-thresholds", "a:b=1,a:b=2", "--gallery", "g"], "or once a label"),
        (["--given-thresholds", "a:B=1", "--gallery", "g"], "MATCHER:LABEL=NUMBER"),
        (["--template", "median", "--gallery", "g"], "--template: Input should be 'auto', 'mean' or 'nearest'"),
    ],
)
def test_what_does_not_go_together_stops_the_start(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        settings(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_lists_are_read() -> None:
    given = settings(
        *("--gallery", "g", "--matchers", "facenet, resnet50", "--impostors", "d", "--thresholds", "fpir:0.1,fmr:0.01"),
        *("--given-thresholds", "dlib:0.6, a-features:-0.25, a-features:literature-0.01=0.41"),
    )
    assert given.gallery == Path("g")
    assert given.matcher_names == ("facenet", "resnet50")
    assert given.threshold_targets == ["fpir:0.1", "fmr:0.01"]
    assert given.known_thresholds == {"dlib": {"given": 0.6}, "a-features": {"given": -0.25, "given:literature-0.01": 0.41}}
