"""An undo touches nothing of what others wrote since, and each refusal has a reason."""

from collections.abc import Sequence
from hashlib import sha256

import pytest

from background_agents.domain.changes import ABSENT, Certainty, Image, Kind, Segment
from background_agents.domain.undoing import Asked, Plan, Reason, plan_redo, plan_undo
from tests.domain.test_change_sums import LIKELY, SHARED, Contents


class World(Contents):
    """Files as they are now. Merges by putting what others appended behind what was before."""

    def __init__(self, **files: bytes) -> None:
        super().__init__()
        self.now: dict[str, Image] = {}
        for path, content in files.items():
            self.now[path] = self.file(content)

    def look(self, path: str) -> tuple[Image, bytes]:
        image = self.now.get(path, ABSENT)
        return image, self.kept.get(image.digest, b"")

    def content(self, digest: str) -> bytes:
        return self.get(digest)

    def merge(self, current: bytes, base: bytes, other: bytes) -> bytes | Reason:
        if not current.startswith(base):
            return Reason.CONFLICT
        return other + current.removeprefix(base)

    def undone(self, *segments: Segment, asked: Asked = Asked()) -> Plan:  # noqa: B008
        return plan_undo(segments, asked, self)


def left(plan: Plan) -> Sequence[Reason]:
    assert not plan.steps
    return [one.reason for one in plan.left]


def test_what_nobody_touched_is_put_back() -> None:
    world = World(f=b"2")
    (step,) = world.undone(world.made("f", b"1", b"2")).steps
    assert (step.now, step.then, step.merged) == (world.file(b"2"), world.file(b"1"), None)


def test_the_newest_change_is_taken_back_first() -> None:
    world = World(f=b"3")
    (step,) = world.undone(world.made("f", b"1", b"2"), world.made("f", b"2", b"3")).steps
    assert step.then == world.file(b"1")


def test_what_others_wrote_since_stays() -> None:
    world = World(f=b"2+theirs")
    (step,) = world.undone(world.made("f", b"1", b"2")).steps
    assert step.merged == b"1+theirs"
    assert step.then.digest == sha256(b"1+theirs").hexdigest()


def test_what_others_wrote_in_between_stays() -> None:
    world = World(f=b"2 and 3!")
    found = [world.made("f", b"1", b"2"), world.made("f", b"2 and 3", b"2 and 3!")]
    (step,) = world.undone(*found).steps
    assert step.merged == b"1 and 3"


def test_what_is_as_before_needs_nothing() -> None:
    world = World(f=b"1")
    plan = world.undone(world.made("f", b"1", b"2"), world.made("never", None, b"x"))
    assert plan == Plan((), (), ("f", "never"))


def test_a_mode_that_others_set_stays() -> None:
    world = World()
    world.now["f"] = world.file(b"2", 0o755)
    (step,) = world.undone(world.made("f", b"1", b"2")).steps
    assert step.then == world.file(b"1", 0o755)


def test_a_new_file_of_another_umask_is_the_same() -> None:
    world = World()
    world.now["f"] = world.file(b"2", 0o664)
    assert world.undone(world.made("f", None, b"2")).steps
    world.now["f"] = world.file(b"2", 0o755)
    assert left(world.undone(world.made("f", None, b"2"))) == [Reason.EDITED]


def test_a_mode_is_put_back_under_what_others_wrote() -> None:
    world = World()
    world.now["f"] = world.file(b"theirs", 0o755)
    made = world.made("f", b"1", b"1")
    made = Segment(at=made.at, path="f", before=made.before, after=world.file(b"1", 0o755))
    (step,) = world.undone(made).steps
    assert step.then == world.file(b"theirs", 0o644)


OPAQUE = Image(Kind.OPAQUE, size=10**9, why="it is too large")


@pytest.mark.parametrize(
    ("before", "after", "now", "reason"),
    [
        (b"1", b"2", b"other", Reason.CONFLICT),
        (b"\0a", b"\0b", b"\0c", Reason.BINARY),
        (None, b"2", b"2+", Reason.EDITED),
        (b"1", b"2", None, Reason.GONE),
        (b"1", None, b"again", Reason.RECREATED),
    ],
)
def test_each_refusal_has_its_reason(
    before: bytes | None, after: bytes | None, now: bytes | None, reason: Reason
) -> None:
    world = World(**({} if now is None else {"f": now}))
    assert left(world.undone(world.made("f", before, after))) == [reason]


def test_what_was_not_kept_is_left_alone() -> None:
    world = World(f=b"2")
    made = world.made("f", b"1", b"2")
    large = Segment(at=made.at, path="f", before=OPAQUE, after=made.after)
    plan = world.undone(large)
    assert left(plan) == [Reason.NOT_KEPT]
    assert plan.left[0].detail == "it is too large"


def test_what_is_kept_no_more_is_left_alone() -> None:
    world = World(f=b"2")
    made = world.made("f", b"1", b"2")
    del world.kept[made.before.digest]
    assert left(world.undone(made)) == [Reason.FORGOTTEN]


def test_links_are_put_back_and_never_merged() -> None:
    world = World()
    target, other = world.file(b"a"), world.file(b"b")
    before, after = (Image(Kind.LINK, one.digest, size=1) for one in (target, other))
    world.now["f"] = after
    made = Segment(at=world.made("x", None, b"").at, path="f", before=before, after=after)
    (step,) = world.undone(made).steps
    assert step.then == before
    world.now["f"] = world.file(b"a file by now")
    assert left(world.undone(made)) == [Reason.REPLACED]


def test_what_is_gits_own_is_left_alone() -> None:
    world = World(**{".git/hooks/x": b"2"})
    assert left(world.undone(world.made(".git/hooks/x", None, b"2"))) == [Reason.GITS_OWN]


@pytest.mark.parametrize(
    ("certainty", "asked", "is_done"),
    [
        (LIKELY, Asked(), False),
        (LIKELY, Asked(likely=True), True),
        (LIKELY, Asked(("d/f",)), True),
        (LIKELY, Asked(("d",)), True),
        (SHARED, Asked(likely=True), False),
        (SHARED, Asked(("d",)), False),
        (SHARED, Asked(("d/f",)), True),
    ],
)
def test_what_is_not_sure_is_to_be_asked_for(
    certainty: Certainty, asked: Asked, is_done: bool
) -> None:
    world = World(**{"d/f": b"2"})
    plan = world.undone(world.made("d/f", b"1", b"2", certainty), asked=asked)
    assert bool(plan.steps) is is_done
    assert len(plan.left) == (not is_done)


def test_other_paths_are_not_meant() -> None:
    world = World(f=b"2", ff=b"2")
    made = [world.made("f", b"1", b"2"), world.made("ff", b"1", b"2")]
    assert [one.path for one in world.undone(*made, asked=Asked(("f",))).steps] == ["f"]
    assert len(world.undone(*made, asked=Asked((".",))).steps) == 2


def test_what_is_shared_counts_as_the_work_of_others() -> None:
    world = World(f=b"2+theirs")
    made = [world.made("f", b"1", b"2"), world.made("f", b"2", b"2+theirs", SHARED)]
    (step,) = world.undone(*made).steps
    assert step.merged == b"1+theirs"


def test_a_redo_takes_back_the_undo_and_no_more() -> None:
    world = World(f=b"1+later")
    made = world.made("f", b"1", b"2", LIKELY)
    undone = world.made("f", b"2", b"1", LIKELY, by="undo")
    (step,) = plan_redo([made, undone], Asked(), world).steps
    assert (step.merged, step.certainty) == (b"2+later", LIKELY)
    assert plan_undo([made, undone], Asked(likely=True), world) == Plan((), (), ())
    assert plan_redo([made], Asked(), world) == Plan((), (), ())
