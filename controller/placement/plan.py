"""A plan on one snapshot: who moves, who stops, who starts, and why the others wait."""

from collections.abc import Iterable, Mapping

from controller.placement.explain import waiting_reasons
from controller.placement.feasible import Shape, grounds_of, never_reason, shape_of, sled_row
from controller.placement.gang import build, choose_sleds
from controller.placement.job import (
    LIVE_STATES,
    Cordon,
    Job,
    JobState,
    Move,
    Placement,
    Plan,
    Start,
    Stop,
)
from controller.placement.lost import Why, lost_shares
from controller.placement.room import Room
from controller.placement.score import best_server
from controller.placement.settings import PlacementSettings
from controller.state.health import BoolArray
from controller.state.snapshot import FleetSnapshot


def plan(
    snapshot: FleetSnapshot,
    jobs: Iterable[Job],
    cordons: Mapping[str, Cordon],
    troubled: Mapping[str, str],
    settings: PlacementSettings,
) -> Plan:
    """Propose starts, stops and moves; deterministic, and nothing is changed.

    `cordons` by sled id; `troubled` gives for a sled the open critical incident on it. Jobs go by
    priority, then by age; a later job may take what an earlier one can not use.
    """
    queue = sorted(jobs, key=_turn)
    room = _room(snapshot, queue, cordons, troubled, settings)
    kinds = frozenset(us.fanout for us in snapshot.fleet_map.ultraservers)
    stops = tuple(_stop(job) for job in queue if job.cancel_requested and _holds(job))
    search = _Search(room, settings)
    lost = lost_shares(snapshot, queue, settings)
    moves = [
        _move(job, search, why)
        for job in queue
        if (why := _moved_by(job, cordons) or lost.get(job.id)) is not None
    ]
    starts: list[Start] = []
    waiting: list[Job] = []
    rejects: dict[str, str] = {}
    for job in queue:
        if job.state is not JobState.PENDING or job.cancel_requested:
            continue
        never = never_reason(job, kinds)
        if never is not None:
            rejects[job.id] = never
        elif (place := search.place(job)) is not None:
            starts.append(
                Start(job_id=job.id, attempt=job.attempt + 1, placement=place, cause=job.id)
            )
        else:
            waiting.append(job)
    reasons = _reasons(room, waiting, settings)
    return Plan(
        starts=tuple(starts), stops=stops, moves=tuple(moves), reasons=reasons, rejects=rejects
    )


def validate(
    proposal: Plan,
    snapshot: FleetSnapshot,
    jobs: Iterable[Job],
    cordons: Mapping[str, Cordon],
    troubled: Mapping[str, str],
    settings: PlacementSettings,
) -> tuple[str, ...]:
    """Why the plan must not be committed on this (newer) state; empty when it may."""
    known = {job.id: job for job in jobs}
    room = _room(snapshot, known.values(), cordons, troubled, settings)
    complaints: list[str] = []
    targets = [(start.job_id, start.attempt, start.placement) for start in proposal.starts]
    for move in proposal.moves:
        if known.get(move.job_id) is None or known[move.job_id].placement != move.origin:
            complaints.append(f"{move.job_id}: is no longer where the plan found it")
        elif move.to is not None:
            targets.append((move.job_id, move.attempt, move.to))
    for job_id, attempt, placement in targets:
        complaint = _complaint(known.get(job_id), attempt, placement, room)
        if complaint is None:
            room.take(placement)
        else:
            complaints.append(f"{job_id}: {complaint}")
    return tuple(complaints)


def _turn(job: Job) -> tuple[int, int, str]:
    return (-job.priority, job.submitted_at_unix_ns, job.id)


def _holds(job: Job) -> bool:
    return job.state in (JobState.STARTING, JobState.RUNNING) and job.placement is not None


def _room(
    snapshot: FleetSnapshot,
    jobs: Iterable[Job],
    cordons: Mapping[str, Cordon],
    troubled: Mapping[str, str],
    settings: PlacementSettings,
) -> Room:
    grounds = grounds_of(snapshot, cordons.keys(), troubled.keys(), settings)
    room = Room(snapshot.fleet_map, grounds, settings)
    room.occupy(jobs)
    return room


def _stop(job: Job) -> Stop:
    assert job.placement is not None
    return Stop(
        job_id=job.id,
        attempt=job.attempt,
        placement=job.placement,
        reason="cancelled",
        cause=job.id,
    )


def _moved_by(job: Job, cordons: Mapping[str, Cordon]) -> Why | None:
    """The cordon of an incident that drives a job away."""
    if not _holds(job) or job.cancel_requested or job.placement is None:
        return None
    found = (cordons.get(sled_id) for sled_id in job.placement.sled_ids)
    cordon = next((cordon for cordon in found if cordon and cordon.incident_id), None)
    if cordon is None or cordon.incident_id is None:
        return None
    return Why(reason=f"{cordon.sled_id} is cordoned: {cordon.reason}", cause=cordon.incident_id)


def _move(job: Job, search: "_Search", why: Why) -> Move:
    assert job.placement is not None
    return Move(
        job_id=job.id,
        attempt=job.attempt + 1,
        origin=job.placement,
        to=search.place(job),
        reason=why.reason,
        cause=why.cause,
    )


class _Search:
    """Finds places, and takes them; remembers what had no room, because room only shrinks."""

    def __init__(self, room: Room, settings: PlacementSettings) -> None:
        self._room = room
        self._settings = settings
        self._hopeless: set[Shape] = set()

    def place(self, job: Job) -> Placement | None:
        """A place for one more attempt of the job, away from sleds that failed it if possible."""
        shape = shape_of(job)
        if shape in self._hopeless:
            return None
        found = self._seek(shape, self._without(job.avoid)) if job.avoid else None
        found = found or self._seek(shape, self._room.usable)
        if found is None:
            self._hopeless.add(shape)
        else:
            self._room.take(found)
        return found

    def _without(self, sled_ids: tuple[str, ...]) -> BoolArray:
        usable = self._room.usable.copy()
        for sled_id in sled_ids:
            row = sled_row(self._room.fleet_map, sled_id)
            if row is not None:
                usable[row] = False
        return usable

    def _seek(self, shape: Shape, usable: BoolArray) -> Placement | None:
        groups = self._room.groups(shape, usable)
        server = best_server(self._room, shape, groups, self._settings)
        if server is None:
            return None
        needed = int(self._room.units_needed(shape)[server])
        pick = choose_sleds(self._room, server, groups, needed)
        return build(self._room, server, shape, pick)


def _reasons(
    room: Room, waiting: list[Job], settings: PlacementSettings
) -> dict[str, tuple[str, ...]]:
    """Reasons on what is left after the plan; jobs of one shape share the words."""
    words: dict[Shape, tuple[str, ...]] = {}
    reasons: dict[str, tuple[str, ...]] = {}
    for ahead, job in enumerate(waiting):
        shape = shape_of(job)
        if shape not in words:
            words[shape] = waiting_reasons(room, shape, settings)
        queue = (f"{ahead} waiting jobs are ahead of it",) if ahead else ()
        reasons[job.id] = (*words[shape], *queue)
    return reasons


def _complaint(job: Job | None, attempt: int, placement: Placement, room: Room) -> str | None:
    if job is None or job.cancel_requested:
        return "is gone or cancelled"
    if attempt != job.attempt + 1 or (job.state not in LIVE_STATES | {JobState.PENDING}):
        return "has changed since the plan was made"
    if placement.chips != job.chips:
        return f"gets {placement.chips} chips instead of {job.chips}"
    prefix = placement.ultraserver_id + "/"
    for sled_id in placement.sled_ids:
        row = sled_row(room.fleet_map, sled_id)
        if row is None or not sled_id.startswith(prefix) or not room.usable[row]:
            return f"{sled_id} may not get work now"
    clash = room.clash(placement)
    return None if clash is None else f"chips of {clash} are taken"
