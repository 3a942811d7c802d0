"""How cloaks are stored is said in words, and read from them."""

import pytest

from orchestrator.experiment.storage import Storage


@pytest.mark.parametrize(
    ("storage", "text", "suffix"), [(Storage(), "jpeg, quality 95", ".jpg"), (Storage(None), "png", ".png")]
)
def test_a_storage_says_what_it_is(storage: Storage, text: str, suffix: str) -> None:
    assert (str(storage), storage.suffix) == (text, suffix)


@pytest.mark.parametrize("storage", [Storage(None), Storage(1), Storage(95)])
def test_a_storage_is_read_from_its_own_words(storage: Storage) -> None:
    assert Storage.stated(str(storage)) == storage


@pytest.mark.parametrize("text", ["", "gif", "jpeg", "jpeg, quality best"])
def test_other_words_are_no_storage(text: str) -> None:
    with pytest.raises(ValueError):
        Storage.stated(text)
