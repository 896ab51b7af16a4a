"""An asyncio loop with virtual time, whose every run is decided by its seed alone.

Time stands still while tasks run and jumps when they all wait. What makes plain asyncio differ from run to run, or
follow the real world, is removed:

    1. Real file descriptors and threads. There are none: waiting for one is an error.
    2. Sets of tasks, which asyncio walks in the order of memory addresses. Tasks here hash by a number.
    3. The order of what is ready: a seeded draw among the tasks that can go on and the hosts that have callbacks due.
       asyncio promises that plain callbacks run in the order of `call_soon`; so they do here, for each host.
    4. Floating time: inside it is whole nanoseconds. A life whose clock drifts, or whose machine sleeps, counts its
       timers by a clock of its own (`clock.LoopClock`).

A crash is no cancellation: what belongs to a dead incarnation of a host never runs again, `finally` included.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, NoReturn

import msgspec

from cairnfs.sim.clock import LoopClock
from cairnfs.sim.trace import Trace
from cairnfs.units import SECOND_NS

STEPS_PER_MOMENT_MAX = 500_000
"""So many steps without time passing are a loop that never waits."""


class SimError(Exception):
    """The simulated program is broken; the message says how."""


class SimDeadlockError(SimError):
    """Every task waits, no timer is left: somebody forgot to wake somebody."""


class SimTimeoutError(SimError):
    """The run took more virtual time than it was given, or never waits."""


class SimFailedError(SimError):
    """A task or callback ended with an error that nobody took."""


class HostDeadError(BaseException):
    """Raised through whatever a dead host was in the middle of. No `except Exception` holds it up."""


class Incarnation:
    """One life of a host, from its start to its crash."""

    def __init__(self, host: str, number: int) -> None:
        self.host = host
        self.number = number
        self.is_alive = True
        self.is_paused = False
        self.clock: LoopClock | None = None
        """What its timers count, if that is not the world's time."""
        self.waiting: list[SimHandle] = []
        """What has become due while it was paused, in order; and what never runs any more, since it is dead."""

    def check(self) -> None:
        """Raise HostDeadError if this life is over."""
        if not self.is_alive:
            raise HostDeadError(self.host)


CURRENT: ContextVar[Incarnation | None] = ContextVar("cairnfs_sim_incarnation", default=None)
"""Whose code is running. Tasks and callbacks inherit it; None is the world itself, which never dies."""


class SimTask(asyncio.Task[Any]):
    """A task that falls into the same place of a set in every run, and knows whose it is."""

    def __init__(self, coro: Any, *, number: int, incarnation: Incarnation | None, **kwargs: Any) -> None:
        self.number = number
        self.incarnation = incarnation
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self.number

    def forget(self) -> None:
        """Its host is dead: that it never ends is no mistake."""
        self._log_destroy_pending = False


class SimHandle(msgspec.Struct, eq=False):
    """A callback that waits for its turn or time, and knows whose it is: what asyncio uses of a `TimerHandle`.

    A run makes some two thousand in a simulated second, so it is a struct, which is made without running Python.
    """

    callback: Callable[..., Any]
    args: tuple[Any, ...]
    context: Context
    life: Incarnation | None
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Leave it where it waits: it is passed over when its turn or time comes."""
        self.is_cancelled = True
        self.args = ()

    def cancelled(self) -> bool:
        return self.is_cancelled


class SimLoop(asyncio.BaseEventLoop):
    """Give each simulation a new one: its time starts at 0, its tasks at number 0."""

    _ready: Any

    def __init__(self, chance: random.Random, trace: Trace) -> None:
        super().__init__()
        self.now_ns = 0
        self.limit_ns: int | None = None
        self.steps_per_moment_max = STEPS_PER_MOMENT_MAX
        self.is_over = False
        """The world is being closed: no new task runs."""
        self._chance = chance
        self._trace = trace
        self._task_numbers = itertools.count()
        self._timer_numbers = itertools.count()
        self._timers: list[tuple[int, int, SimHandle]] = []
        self._failure: dict[str, Any] | None = None
        self._steps_now = 0
        self.set_exception_handler(self._note_failure)
        # Asked for with every future and task. `bool` is False when called, and like the other needs no Python.
        self.get_debug = bool  # type: ignore[method-assign]
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    # -------------------------------------------------------------- what asyncio asks for

    def time(self) -> float:
        life = CURRENT.get()
        if life is not None and life.clock is not None:
            return life.clock.time(self.now_ns)
        return self.now_ns / SECOND_NS

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        if self._closed:  # type: ignore[attr-defined]
            raise RuntimeError("the simulation is over")
        if context is None:
            context = copy_context()
        handle = SimHandle(callback, args, context, context.get(CURRENT))
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        now_ns = self.now_ns
        life = CURRENT.get()
        clock = life.clock if life is not None else None
        when_ns = round(when * SECOND_NS) if clock is None else clock.moment_ns(when, now_ns)
        if when_ns <= now_ns:
            # Less than a nanosecond to go is still a wait: else whoever waits for the rest of it does so for ever.
            when_ns = now_ns + (when > self.time())
        return self.call_at_ns(when_ns, callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        life = CURRENT.get()
        if life is not None and life.clock is not None:
            return self.call_at(life.clock.time(self.now_ns) + max(0.0, delay), callback, *args, context=context)
        rest_ns = max(1, round(delay * SECOND_NS)) if delay > 0 else 0
        return self.call_at_ns(self.now_ns + rest_ns, callback, *args, context=context)

    def call_at_ns(
        self, when_ns: int, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        """Call at a moment of the world."""
        if context is None:
            context = copy_context()
        timer = SimHandle(callback, args, context, context.get(CURRENT))
        heapq.heappush(self._timers, (when_ns, next(self._timer_numbers), timer))
        return timer

    def postpone(self, life: Incarnation, seconds: float) -> None:
        """Let every timer of a life ring so much later: its machine sleeps."""
        late_ns = round(seconds * SECOND_NS)
        self._timers = [
            (when_ns + late_ns * (timer.life is life), number, timer) for when_ns, number, timer in self._timers
        ]
        heapq.heapify(self._timers)

    def _write_to_self(self) -> None:
        """Wake nobody: there is one thread."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        raise SimError("a simulated program waits for a real file descriptor")

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        raise SimError("a simulated program waits for a real file descriptor")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        raise SimError("a simulated program starts a real thread")

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> SimTask:
        incarnation = CURRENT.get() if context is None else context.get(CURRENT)
        if self.is_over:
            coro.close()  # the last words of another task started it: it never runs
        number = next(self._task_numbers)
        name = f"task{number}" if name is None else name
        task = SimTask(coro, number=number, incarnation=incarnation, loop=self, name=name, context=context)
        if self.is_over:
            task.forget()
        return task

    # -------------------------------------------------------------- one step

    def _run_once(self) -> None:
        """Run steps until the loop is to stop: every event of a simulation passes here."""
        ready, note = self._ready, self._trace.add
        while not self._stopping:  # type: ignore[attr-defined]
            if not ready:
                self._jump()
            handle = ready.popleft() if len(ready) == 1 else self._draw_one()
            if handle.is_cancelled:
                continue
            life, callback = handle.life, handle.callback
            if life is None:
                note("-", _label(callback))
            elif life.is_alive and not life.is_paused:
                note(life.host, _label(callback))
            else:
                life.waiting.append(handle)
                continue
            self._steps_now += 1
            if self._steps_now > self.steps_per_moment_max:
                raise SimTimeoutError(f"{self._steps_now} steps at {self.time()} s and no end: {_label(callback)}")
            try:
                handle.context.run(callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does: the handler fails the run
                self.call_exception_handler({"message": f"failed in {_label(callback)}", "exception": error})
            if self._failure is not None:
                self._fail()

    def _jump(self) -> None:
        """Move the clock to the next timer and make ready all that is due then."""
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        if not timers:
            raise SimDeadlockError(f"every task waits and nothing is due:\n{self._waiting_tasks()}")
        when_ns = timers[0][0]
        if self.limit_ns is not None and when_ns > self.limit_ns:
            raise SimTimeoutError(f"not done after {self.now_ns / SECOND_NS} s:\n{self._waiting_tasks()}")
        if when_ns > self.now_ns:
            self.now_ns = self._trace.now_ns = when_ns
            self._steps_now = 0
        self._trace.hash_full_batches()
        while timers and timers[0][0] <= when_ns:
            timer = heapq.heappop(timers)[2]
            if not timer.is_cancelled:
                self._ready.append(timer)

    def _draw_one(self) -> SimHandle:
        """Draw the next of what is ready. See the module, 3."""
        ready = self._ready
        place = int(self._chance.random() * len(ready))
        handle: SimHandle = ready[place]
        if place and not _is_task_step(handle.callback):
            life = handle.life
            for earlier in range(place):
                other = ready[earlier]
                if other.life is life and not _is_task_step(other.callback):
                    place, handle = earlier, other
                    break
        del ready[place]
        return handle

    def resume(self, life: Incarnation) -> None:
        """A paused life goes on with what has become due meanwhile."""
        life.is_paused = False
        waiting, life.waiting = life.waiting, []
        self._ready.extend(waiting)

    # -------------------------------------------------------------- failures

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), HostDeadError):
            return
        task = context.get("task") or context.get("future")
        incarnation = task.incarnation if isinstance(task, SimTask) else None
        if incarnation is not None and not incarnation.is_alive:
            return
        self._trace.add(incarnation.host if incarnation else "-", "failure", context["message"].partition("0x")[0])
        if self._failure is None:
            self._failure = context

    def _fail(self) -> NoReturn:
        failure, self._failure = self._failure, None
        assert failure is not None, "no failure"
        raise SimFailedError(failure["message"]) from failure.get("exception")

    def check_failures(self) -> None:
        """Raise SimFailedError if something failed since the last step."""
        if self._failure is not None:
            self._fail()

    def tasks_of(self, incarnation: Incarnation | None) -> list[SimTask]:
        """Return the unfinished tasks of a life (None: all), oldest first."""
        found = [task for task in asyncio.all_tasks(self) if isinstance(task, SimTask)]
        mine = [task for task in found if incarnation is None or task.incarnation is incarnation]
        return sorted(mine, key=lambda task: task.number)

    def _waiting_tasks(self) -> str:
        lines = []
        for task in self.tasks_of(None):
            life = task.incarnation
            if life is None or life.is_alive:
                frames = task.get_stack(limit=1)
                where = f"{frames[-1].f_code.co_qualname}:{frames[-1].f_lineno}" if frames else "?"
                lines.append(f"  {life.host if life else '-'} {task.get_name()} at {where}")
        return "\n".join(lines)


def _is_task_step(callback: Any) -> bool:
    return type(getattr(callback, "__self__", None)) is SimTask


def _label(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    if type(owner) is SimTask:
        return owner.get_name()
    try:
        return callback.__qualname__  # type: ignore[no-any-return]
    except AttributeError:
        return type(callback).__name__
