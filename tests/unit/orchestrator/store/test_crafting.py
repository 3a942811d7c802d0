"""How crafting went, summed up over the subjects of a run and over nobody else."""

from dataclasses import replace

from orchestrator.experiment.grid import CloakKey
from orchestrator.store.changes import record_cloak, record_subject
from orchestrator.store.crafting import CraftingSummary
from orchestrator.store.records import SubjectStatus
from orchestrator.store.store import Store
from tests.support.recorded import CLOAK, KEY, drawn
from tests.support.store_places import Place


def add(store: Store, identity: str, status: SubjectStatus, *, key: CloakKey = KEY, **crafted: float) -> None:
    cloak = replace(CLOAK, probe=f"{identity}/1.jpg", key=key, **crafted)  # type: ignore[arg-type]
    store.write(record_subject(drawn(identity, status)), record_cloak(cloak))


def test_a_summary_has_the_ends_the_mean_and_how_many_stalled_of_each_kind_of_cloak(store: Store) -> None:
    other = replace(KEY, epsilon=16)
    for identity, n_iter, change, share in (("a", 9, 8, 0.0), ("b", 10, 3, 0.5), ("c", 10, 0, 1.0)):
        add(store, identity, SubjectStatus.SUBJECT, n_iter=n_iter, largest_change=change, zero_gradient_share=share)
    add(store, "a", SubjectStatus.SUBJECT, key=other, n_iter=20, largest_change=16, zero_gradient_share=0.25)
    found = store.crafting_summaries(stalled_above=0.5)
    assert found.keys() == {KEY, other}
    assert found[KEY] == CraftingSummary(KEY, 3, 9, 10, 20, 20, 20, 1, 1, 1, 0, 8, 0.5, 1)
    assert found[other] == CraftingSummary(other, 1, 20, 20, 20, 20, 20, 1, 1, 1, 16, 16, 0.25, 0)


def test_a_summary_has_the_ends_and_the_mean_of_gradients_and_of_forward_passes(store: Store) -> None:
    for identity, gradients, forward_passes in (("a", 90, 3), ("b", 40, 4), ("c", 21, 4)):
        add(store, identity, SubjectStatus.SUBJECT, gradients=gradients, forward_passes=forward_passes)
    found = store.crafting_summaries(stalled_above=0.5)[KEY]
    assert (found.min_gradients, found.max_gradients, found.gradients) == (21, 90, 151 / 3)
    assert (found.min_forward_passes, found.max_forward_passes, found.forward_passes) == (3, 4, 11 / 3)
    assert isinstance(found.gradients, float)


def test_who_is_no_subject_and_another_run_do_not_count(place: Place) -> None:
    store = place.store()
    for status in (SubjectStatus.BEGUN, SubjectStatus.NO_FACE):
        add(store, status.value, status)
    add(place.store(run="another"), "a", SubjectStatus.SUBJECT)
    assert store.crafting_summaries(stalled_above=0.5) == {}
