"""What is installed is found by its entry points; what is broken is named with its distribution, and harms no other."""

import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.method import Method
from protector_service.registry import GROUP as METHODS
from protector_service.registry import accept_method, find_methods
from recognizers.networks.compact import CompactFaceNet
from recognizers.networks.network import Network
from recognizers.networks.registry import GROUP as RECOGNIZERS
from recognizers.networks.registry import accept_architecture, architectures
from recognizers.plugins import Found, PluginError, find_plugins, installed_plugins
from tests.support.plugin_distributions import install, install_text

METHOD = """
    from protector_service.methods.bim import BasicIterativeMethod
    from protector_service.methods.trajectory import loss_gradient, separate_trajectories

    class Twice(BasicIterativeMethod):
        name = "twice"
        description = "Two steps, whatever the budget."

        def craft(self, job):
            steps = lambda epsilon: min(2, epsilon)
            yield from separate_trajectories(job, loss_gradient(job.y_true), n_iter=steps)
"""
NETWORK = """
    from recognizers.networks.compact import CompactFaceNet
    from recognizers.networks.state_dict_format import StateDictFormat

    class TinyFaceNet(CompactFaceNet):
        name = "tiny-facenet"
        formats = (StateDictFormat(known_by="tiny.weight"),)
"""

CLASS = "expected a class derived from Method"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


def methods(site: Path) -> Found[Method]:
    return find_plugins(METHODS, accept_method, installed=distributions(path=[str(site)]))


def networks(site: Path) -> Found[type[Network]]:
    return find_plugins(RECOGNIZERS, accept_architecture, installed=distributions(path=[str(site)]))


def test_this_project_s_own_are_found_by_their_entry_points() -> None:
    found = find_methods()
    assert (
        {"bim", "bsr", "deepfool", "fgsm", "illc", "noise", "none", "one-pixel", "pgd"} <= found.own <= found.usable.keys()
    )
    assert {"facenet", "resnet50", "senet50"} <= architectures().own <= architectures().usable.keys()


def test_a_plug_in_is_found_where_it_is_installed(site: Path) -> None:
    install(site, "twice-cloaks", {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    install(site, "tiny-faces", {RECOGNIZERS: {"tiny-facenet": "plugin_tiny:TinyFaceNet"}}, plugin_tiny=NETWORK)
    assert methods(site).usable["twice"].description == "Two steps, whatever the budget."
    assert issubclass(networks(site).usable["tiny-facenet"], CompactFaceNet)
    assert methods(site).refused == networks(site).refused == ()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("import there_is_no_such_module", "cannot be loaded: ModuleNotFoundError: ", id="import"),
        pytest.param("raise ZeroDivisionError('so there')", "cannot be loaded: ZeroDivisionError: so there", id="raises"),
        pytest.param("import sys; sys.exit(3)", "cannot be loaded: SystemExit: 3", id="exits"),
        pytest.param("broken = 1 +", "cannot be loaded: SyntaxError: invalid syntax", id="syntax"),
        pytest.param("", "cannot be loaded: AttributeError: ", id="no class"),
        pytest.param("Broken = 3", f"{CLASS}, got an object of int", id="int"),
        pytest.param("class Broken: pass", f"{CLASS}, got the class Broken", id="class"),
        pytest.param(
            "from protector_service.methods.method import Method\nclass Broken(Method): name = 'broken'",
            "expected all of Method, but Broken lacks cost, craft",
            id="abstract",
        ),
        pytest.param(
            "from protector_service.methods.bim import BasicIterativeMethod as Broken",
            "expected BasicIterativeMethod.name to be that of the entry point, 'broken', got 'bim'",
            id="name",
        ),
        pytest.param(
            "from protector_service.methods.bim import BasicIterativeMethod as B\n"
            "class Broken(B): name, description = 'broken', ''",
            "expected Broken.description to be a sentence, got ''",
            id="description",
        ),
        pytest.param(
            "from protector_service.methods.bim import BasicIterativeMethod as B\n"
            "class Broken(B):\n  name = 'broken'\n  def __init__(self, strength): pass",
            "cannot be used: TypeError: ",
            id="arguments",
        ),
        pytest.param(
            "from protector_service.methods.bim import BasicIterativeMethod as B\n"
            "class Broken(B):\n  name = 'broken'\n  def __init__(self): raise SystemExit('no licence')",
            "cannot be used: SystemExit: no licence",
            id="exits when made",
        ),
        pytest.param(
            "from protector_service.methods.bim import BasicIterativeMethod as B\n"
            "class Nameless(type(B)):\n  @property\n  def name(cls): raise ZeroDivisionError('no name')\n"
            "class Broken(B, metaclass=Nameless): pass",
            "cannot be used: ZeroDivisionError: no name",
            id="name that raises",
        ),
        pytest.param(
            "from protector_service.methods.bim import BasicIterativeMethod as B\n"
            "class Broken(B):\n  name = 'broken'\n  def budgets(self, epsilons): return (255,)",
            "expected Broken.budgets((1, 8, 255)) to be (1, 8, 255), got (255,)",
            id="budgets",
        ),
        *(
            pytest.param(
                "import numpy as np\nfrom protector_service.methods.bim import BasicIterativeMethod as B\n"
                f"class Broken(B):\n  name = 'broken'\n  def budgets(self, epsilons): return {budgets}",
                "expected Broken.budgets((1, 8, 255)) to be (1, 8, 255), got ",
                id=f"budgets are {budgets}",
            )
            for budgets in ("np.sort(epsilons)", "tuple(np.sort(epsilons))", "list(epsilons)")
        ),
    ],
)
def test_a_broken_method_is_named_with_its_distribution_and_the_others_serve(site: Path, source: str, reason: str) -> None:
    install(site, "twice-cloaks", {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    install(site, "broken-cloaks", {METHODS: {"broken": "plugin_broken:Broken"}}, plugin_broken=source)
    found = methods(site)
    assert set(found.usable) == {"twice"}
    (refused,) = found.refused
    assert refused.startswith(f"broken of broken-cloaks 1.0 (plugin_broken:Broken): {reason}")


BROKEN = "cannot be used: BrokenMethodError: broken: expected"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("def cost(self, epsilon): return 3", f"{BROKEN} a Cost of whole numbers of at most 2147483647, got 3"),
        (
            "def cost(self, epsilon): return Cost(1.25 * epsilon)",
            f"{BROKEN} a Cost of whole numbers of at most 2147483647, got ",
        ),
        ("def cost(self, epsilon): return Cost(1 // abs(epsilon - 77))", "cannot be used: ZeroDivisionError: "),
        ("def craft(self, job): return []", f"{BROKEN} craft to be a generator, got list"),
        ("def craft(self): yield", "cannot be used: TypeError: Broken.craft() takes 1 positional argument but 2 were given"),
        ("def craft(self, job): yield job.probe", f"{BROKEN} an Ask, several, or a Cloak, got tensor("),
        ("def craft(self, job): yield from ()", f"{BROKEN} cloaks of the budgets [1], got none"),
        ("def craft(self, job): yield Cloak(1, job.probe.flatten())", f"{BROKEN} a tensor (3, 12, 12), got a tensor (432,)"),
        ("def craft(self, job): yield Cloak(1, job.probe + 255)", f"{BROKEN} levels 0..255, got 255..510"),
        ("def craft(self, job): yield Cloak(1, 255 - job.probe)", f"{BROKEN} changes of at most 1 levels, got 255"),
        ("def craft(self, job): yield Cloak(8, job.probe)", f"{BROKEN} the cloak of budget 1, got one of 8"),
        ("def craft(self, job): yield Ask(job.probe, CrossEntropy(100))", f"{BROKEN} a class of 0..99, got 100"),
        (
            "def craft(self, job):\n"
            "    answer = yield Ask(job.probe, gradient=False)\n"
            "    yield Ask(job.probe, CrossEntropy(answer.logits.argmin()))",
            f"{BROKEN} a class of 0..99, got tensor(",
        ),
        ("def craft(self, job): yield Ask(job.probe)", f"{BROKEN} an objective to differentiate, got None"),
        (
            "def craft(self, job):\n    while True: yield Ask(job.probe, CrossEntropy(1))",
            f"{BROKEN} at most 18 gradients and 16 ",
        ),
        ("def craft(self, job): raise SystemExit('no licence')", "cannot be used: SystemExit: no licence"),
        (
            "def craft(self, job):\n"
            "    for epsilon in job.epsilons: yield Cloak(epsilon, (job.probe + len(job.epsilons) // 2).clamp(0, 255))",
            "expected the cloak of Broken for budget 1 to be the same alone and beside those for the budgets (8, 255), got ",
        ),
        (
            f"@stated(alpha={'x' * 501!r})\n  def other(self): pass",
            "expected what Broken states of alpha to be a text of at most 500 characters, got 'xxx",
        ),
        (
            "@stated(start=1)\n  def other(self): pass",
            "expected what Broken states of start to be a text of at most 500 characters, got 1",
        ),
    ],
)
def test_a_method_that_would_fail_every_request_is_refused_at_the_start(site: Path, method: str, reason: str) -> None:
    assert refusal_of(site, method, base="B").startswith(reason)


def refusal_of(site: Path, method: str, *, base: str) -> str:
    """Why a class derived from BIM (B) or `Method` with a function of its own is refused."""
    source = (
        "from protector_service.methods.asks import Ask, Cloak, Cost, CrossEntropy\n"
        "from protector_service.methods.bim import BasicIterativeMethod as B\n"
        "from protector_service.methods.method import Method, stated\n"
        f"class Broken({base}):\n  name, description = 'broken', 'Of a test.'\n  {method}"
    )
    install(site, "broken-cloaks", {METHODS: {"broken": "plugin_broken:Broken"}}, plugin_broken=source)
    found = methods(site)
    assert not found.usable
    (refused,) = found.refused
    beginning = "broken of broken-cloaks 1.0 (plugin_broken:Broken): "
    assert refused.startswith(beginning)
    return refused.removeprefix(beginning)


@pytest.mark.parametrize(
    ("craft", "reason"),
    [
        ("def craft(self, job): yield Cloak(1, job.probe - 0.6)", f"{BROKEN} levels 0..255, got -1..254"),
        ("def craft(self, job): yield Cloak(1, 255 - job.probe)", f"{BROKEN} changes of at most 1 levels, got 255"),
        ("def budgets(self, epsilons): return (1,)", "expected Broken.budgets((1, 8, 255)) to be (1, 8, 255), got (1,)"),
    ],
)
def test_a_control_that_would_fail_every_request_is_refused_at_the_start(site: Path, craft: str, reason: str) -> None:
    control = "control = True\n  def cost(self, epsilon): return Cost()\n  def craft(self, job): yield\n  "
    assert refusal_of(site, control + craft, base="Method").startswith(reason)


@pytest.mark.parametrize(
    "start",
    [
        "(job.probe + epsilon // 2).clamp(0, 255)",
        "(job.probe + epsilon * (2 * torch.from_numpy(job.draws().uniform(1)).to(job.probe) - 1).round()).clamp(0, 255)",
    ],
)
def test_a_start_that_depends_on_the_budget_is_free_to(site: Path, start: str) -> None:
    source = (
        "import torch\nfrom protector_service.methods.bim import BasicIterativeMethod as B\n"
        "from protector_service.methods.trajectory import loss_gradient, separate_trajectories\n"
        "class Free(B):\n  name = 'free'\n  def craft(self, job):\n"
        f"    start = lambda epsilon: {start}\n"
        "    yield from separate_trajectories(job, loss_gradient(job.y_true), start=start)"
    )
    install(site, "free-cloaks", {METHODS: {"free": "plugin_free:Free"}}, plugin_free=source)
    assert set(methods(site).usable) == {"free"}


def test_a_method_that_draws_other_numbers_each_time_is_refused(site: Path) -> None:
    draw = "(job.probe + torch.randint(-1, 2, job.probe.shape)).clamp(0, 255)"
    craft = f"def craft(self, job):\n    import torch\n    for epsilon in job.epsilons: yield Cloak(epsilon, {draw})"
    reason = "expected the cloak of Broken for budget 1 to be the same alone and beside those for the budgets (8, 255), got "
    assert refusal_of(site, craft, base="B").startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("input_size = 0", "expected TinyFaceNet.input_size to be a whole number from 1, got 0"),
        ("input_size = True", "expected TinyFaceNet.input_size to be a whole number from 1, got True"),
        ("feature_size = 'many'", "expected TinyFaceNet.feature_size to be a whole number from 1, got 'many'"),
        ("head_name = ''", "expected TinyFaceNet.head_name to be the name of the classifier's layer, got ''"),
        ("formats = ()", "expected TinyFaceNet.formats to be a tuple of StateDictFormat, got ()"),
        ("formats = ('fc',)", "expected TinyFaceNet.formats to be a tuple of StateDictFormat, got ('fc',)"),
        (
            "formats = (StateDictFormat(name=None, known_by='odd'),)",
            "expected the names of TinyFaceNet.formats to be text, got [None]",
        ),
    ],
)
def test_a_broken_network_is_named_with_its_distribution(site: Path, change: str, reason: str) -> None:
    source = f"{NETWORK}        {change}\n"
    install(site, "tiny-faces", {RECOGNIZERS: {"tiny-facenet": "plugin_tiny:TinyFaceNet"}}, plugin_tiny=source)
    assert networks(site).refused == (f"tiny-facenet of tiny-faces 1.0 (plugin_tiny:TinyFaceNet): {reason}",)
    assert not networks(site).usable


@pytest.mark.parametrize("name", ["Twice", "twice cloaks", "t" * 41, "-twice", "bim,illc", "zweifach-\u00fc"])
def test_a_name_that_cannot_be_asked_for_is_refused(site: Path, name: str) -> None:
    install(site, "twice-cloaks", {METHODS: {name: "plugin_twice:Twice"}}, plugin_twice=METHOD)
    found = methods(site)
    assert not found.usable
    assert "expected a name of at most 40 of a-z, 0-9, '.', '_' and '-', got " in found.refused[0]


def test_a_name_that_two_claim_is_nobody_s(site: Path) -> None:
    for distribution in ("one-cloak", "another-cloak"):
        install(site, distribution, {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    found = methods(site)
    assert not found.usable
    assert found.refused == (
        "twice of another-cloak 1.0 (plugin_twice:Twice): the name is claimed by one-cloak 1.0 too; keep one",
        "twice of one-cloak 1.0 (plugin_twice:Twice): the name is claimed by another-cloak 1.0 too; keep one",
    )


def test_no_plug_in_takes_a_name_of_this_project_s_own(site: Path) -> None:
    source = METHOD.replace('"twice"', '"bim"')
    install(site, "a-better-bim", {METHODS: {"bim": "plugin_bim:Twice"}}, plugin_bim=source)
    found = find_plugins(METHODS, accept_method, installed=distributions())
    assert type(found.usable["bim"]) is BasicIterativeMethod
    (refused,) = found.refused
    assert refused.startswith("bim of a-better-bim 1.0 (plugin_bim:Twice): the name is claimed by face-deid-bench ")


def test_a_distribution_found_twice_on_the_path_is_one(site: Path) -> None:
    install(site, "twice-cloaks", {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    found = find_plugins(METHODS, accept_method, installed=distributions(path=[str(site), str(site)]))
    assert set(found.usable) == {"twice"}


def test_metadata_that_cannot_be_read_take_nobody_else_down(site: Path) -> None:
    install(site, "twice-cloaks", {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    install_text(site, "damaged", f"[{METHODS}]\nthis is no entry\n")
    install_text(site, "damaged-elsewhere", "[console_scripts]\nthis is no entry\n")
    (site / "nameless.dist-info").mkdir()
    (site / "nameless.dist-info" / "entry_points.txt").write_text(f"[{METHODS}]\nlost = nowhere:Lost\n")
    found = methods(site)
    assert set(found.usable) == {"twice"}
    damaged, nameless = sorted(found.refused)
    assert damaged.startswith("all of damaged 1.0: its entry_points.txt cannot be read: ")
    assert nameless.startswith("lost of a distribution without a name (nowhere:Lost): cannot be loaded: ModuleNotFoundError")


@pytest.mark.parametrize("group", [METHODS, "console_scripts"])
def test_metadata_that_are_not_utf8_take_nobody_down(site: Path, group: str) -> None:
    install(site, "twice-cloaks", {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    install(site, "jose-cloaks", {group: {"lost": "plugin_lost:Lost"}})
    (site / "jose_cloaks-1.0.dist-info" / "METADATA").write_bytes("Name: jose-cloaks\nAuthor: José\n".encode("latin-1"))
    found = methods(site)
    assert set(found.usable) == {"twice"}
    lost = "lost of a distribution whose metadata cannot be read (plugin_lost:Lost): cannot be loaded: ModuleNotFoundError: "
    assert [refused.startswith(lost) for refused in found.refused] == [True] * (group == METHODS)


def test_entry_points_that_are_not_utf8_are_told_and_take_nobody_down(site: Path) -> None:
    install(site, "twice-cloaks", {METHODS: {"twice": "plugin_twice:Twice"}}, plugin_twice=METHOD)
    install(site, "jose-cloaks", {})
    entry_points = f"# José\n[{METHODS}]\nlost = plugin_lost:Lost\n".encode("latin-1")
    (site / "jose_cloaks-1.0.dist-info" / "entry_points.txt").write_bytes(entry_points)
    found = methods(site)
    assert set(found.usable) == {"twice"}
    (refused,) = found.refused
    assert refused.startswith("all of jose-cloaks 1.0: its entry_points.txt cannot be read: UnicodeDecodeError: ")


OUT_OF_MEMORY = "raise ImportError('libtorch_cuda.so: failed to map segment from shared object')"


def test_where_memory_does_not_suffice_for_this_project_s_own_that_is_the_error(site: Path) -> None:
    """Or else a checkpoint of that network would be called one of an unknown network."""
    install(site, "face-deid-bench", {RECOGNIZERS: {"tiny-facenet": "plugin_tiny:TinyFaceNet"}}, plugin_tiny=OUT_OF_MEMORY)
    with pytest.raises(PluginError, match=r"tiny-facenet of face-deid-bench .*: not enough memory to start"):
        networks(site)


def test_where_memory_does_not_suffice_for_a_plug_in_the_others_serve(site: Path) -> None:
    install(site, "tiny-faces", {RECOGNIZERS: {"tiny-facenet": "plugin_tiny:TinyFaceNet"}}, plugin_tiny=OUT_OF_MEMORY)
    (reason,) = networks(site).refused
    assert "not enough memory to start" in reason


def test_where_this_project_itself_is_not_installed_the_error_says_what_to_do() -> None:
    with pytest.raises(PluginError) as refused:
        installed_plugins("a.group.that.it.has.not", accept_method)
    assert str(refused.value).startswith("a.group.that.it.has.not: expected the entry points of face-deid-bench, got none: ")
    assert "`make setup`" in str(refused.value)
