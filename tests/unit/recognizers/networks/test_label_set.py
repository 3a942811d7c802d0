"""Label sets: distinct identities in class order, and their digest."""

import hashlib

import pytest

from recognizers.errors import LabelSetError, UnknownIdentityError
from recognizers.networks.label_set import LabelSet


def test_the_digest_is_that_of_the_identities_joined_by_line_feeds() -> None:
    assert LabelSet(("anna", "Zoë")).sha256 == hashlib.sha256(b"anna\nZo\xc3\xab").hexdigest()
    # printf 'a' | sha256sum
    assert LabelSet(("a",)).sha256 == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_the_digest_tells_orders_and_sets_apart() -> None:
    assert len({LabelSet(names).sha256 for names in (("a", "b"), ("b", "a"), ("ab",), ("a", "b", "c"))}) == 4


def test_an_identitys_index_is_its_position() -> None:
    label_set = LabelSet(("zoe", "anna"))
    assert [label_set.index(identity) for identity in label_set.identities] == [0, 1]
    assert len(label_set) == 2
    assert "anna" in label_set
    assert "max" not in label_set
    assert 0 not in label_set


def test_an_unknown_identity_has_no_index() -> None:
    with pytest.raises(UnknownIdentityError, match=r"'max' is not among the 2"):
        LabelSet(("zoe", "anna")).index("max")


@pytest.mark.parametrize("names", [(), ("",), ("a", ""), ("a\nb",), ("a", "b", "a")])
def test_a_label_set_without_distinct_one_line_identities_cannot_be_made(names: tuple[str, ...]) -> None:
    with pytest.raises(LabelSetError):
        LabelSet(names)
