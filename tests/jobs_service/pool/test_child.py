"""What a child makes of a job function that misbehaves: its own run ends, nothing else does."""

import os
from pathlib import Path
from typing import Any

import pytest

from jobs_service.pool.pool import Pool
from jobs_service.pool.work import RunFailed
from tests.support.pools import StartPool, alive, failure, value_of, work
from tests.support.waiting import eventually

AUTOGROUP = Path("/proc/self/autogroup")


async def works(pool: Pool) -> None:
    """Every slot still runs what it is given."""
    for n in range(2 * pool.slots):
        assert value_of(await pool.run(work("echo", {"value": n}))) == n
    assert (pool.busy, pool.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("what", "code", "message", "shown"),
    [
        ("value", "ValueError", "a value that is wrong", "in raise_"),
        ("exit", "SystemExit", "4", "sys.exit(4)"),
        ("interrupt", "KeyboardInterrupt", "", "raise KeyboardInterrupt"),
        ("unprintable", "UnprintableError", "(its text can't be shown", "raise UnprintableError"),
        ("surrogate", "ValueError", "half a pair: \\ud800", "half a pair"),
        ("recursion", "RecursionError", "maximum recursion depth", "RecursionError"),
        ("huge", "ValueError", "x" * 2_000, "xxx"),
    ],
)
async def test_whatever_a_function_raises_is_told(
    pool: Pool, what: str, code: str, message: str, shown: str
) -> None:
    failed = await failure(pool, work("raise", {"what": what}))
    assert (failed.kind, failed.code) == ("failed", code)
    assert failed.message.startswith(message)
    assert len(failed.message) <= 2_000
    assert shown in failed.traceback
    assert "child.py" not in failed.traceback
    assert failed.usage is not None
    assert failed.usage.pid in {child.pid for child in pool.children()}
    await works(pool)


async def test_discard_reaches_the_caller_as_it_is(pool: Pool) -> None:
    failed = await failure(pool, work("raise", {"what": "discard"}))
    assert (failed.kind, failed.code) == ("discarded", "bad-image")
    assert failed.message == "This is not a picture."


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"seconds": "x"}, "Expected `float`"),
        ({}, "missing required field `seconds`"),
        ({"seconds": 1, "more": 2}, "unknown field `more`"),
        (7, "Expected `object`"),
    ],
)
async def test_params_that_the_contract_refuses(pool: Pool, params: object, message: str) -> None:
    failed = await failure(pool, work("sleep", params))
    assert (failed.kind, failed.code, failed.traceback) == ("discarded", "bad-params", "")
    assert message in failed.message


@pytest.mark.parametrize("job", ["nowhere", "on-loop"])
async def test_a_job_type_that_no_child_runs(pool: Pool, job: str) -> None:
    failed = await failure(pool, work(job))
    assert (failed.kind, failed.code) == ("discarded", "unknown-type")
    assert job in failed.message


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("object", "type _thread.lock is unsupported"),
        ("cycle", "recursion"),
        ("surrogate", "surrogates not allowed"),
        ("mapped-output", "can't be sealed: Device or resource busy"),
        ("closed-output", "can't be sealed: Bad file descriptor"),
        ("many-outputs", "300 outputs; a run can have 250"),
    ],
)
async def test_a_result_that_cannot_be_sent(pool: Pool, what: str, message: str) -> None:
    failed = await failure(pool, work("return", {"what": what}))
    assert (failed.kind, failed.code) == ("failed", "bad-result")
    assert message in failed.message
    await works(pool)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exit", "Its process exited with status 3."),
        ("exit-0", "Its process exited with status 0."),
        ("segfault", "Its process was killed by SIGSEGV."),
        ("abort", "Its process was killed by SIGABRT."),
        ("kill", "Its process was killed by SIGKILL."),
    ],
)
async def test_each_way_to_die_is_named(pool: Pool, how: str, message: str) -> None:
    failed = await failure(pool, work("crash", {"how": how}))
    assert (failed.kind, failed.code, failed.message) == ("crashed", "crashed", message)
    assert failed.usage is not None
    assert failed.usage.peak_bytes > 1_000_000
    await works(pool)


async def test_prints_go_to_stderr(
    capfd: pytest.CaptureFixture[str], start_pool: StartPool
) -> None:
    pool = await start_pool()
    assert value_of(await pool.run(work("wreck", {"what": "print"}))) == "printed"
    printed = ""

    def seen() -> bool:
        nonlocal printed
        out, err = capfd.readouterr()
        assert out == ""
        printed += err
        return "without an end" in printed and "raw" in printed

    await eventually(seen)
    assert "printed by a job, half a pair: \\ud800\n" in printed


@pytest.mark.parametrize("what", ["close-stdout", "close-stdout-fd"])
async def test_closing_stdout_harms_no_later_run(start_pool: StartPool, what: str) -> None:
    pool = await start_pool(slots=1, spares=0)
    assert value_of(await pool.run(work("wreck", {"what": what}))) is None
    assert value_of(await pool.run(work("wreck", {"what": "print"}))) == "printed"
    await works(pool)


@pytest.mark.parametrize("what", ["close-socket", "close-all"])
async def test_closing_the_pools_socket_ends_only_that_child(pool: Pool, what: str) -> None:
    failed = await failure(pool, work("wreck", {"what": what}))
    assert failed.kind == "crashed"
    assert failed.message == "Its process exited with status 1."
    await works(pool)


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("write-socket", "crashed", "it sent what it must not"),
        ("hello", "crashed", "a second hello"),
        ("unsealed", "bad-answer", "not a sealed memfd"),
        ("pipe", "bad-answer", "not a sealed memfd"),
        ("too-few", "bad-answer", "0 descriptors where 3 were announced"),
    ],
)
async def test_a_child_that_lies_is_not_believed(
    start_pool: StartPool, what: str, code: str, message: str
) -> None:
    pool = await start_pool(slots=1)
    failed = await failure(pool, work("wreck", {"what": what}, time_limit=20))
    assert (failed.kind, failed.code) == ("crashed", code)
    assert message in failed.message
    await works(pool)


async def test_a_function_that_forks_answers_once(pool: Pool) -> None:
    pid = value_of(await pool.run(work("wreck", {"what": "fork"})))
    assert pid > 0
    assert not alive(pid)
    await works(pool)


async def test_a_process_left_behind_goes_with_its_child(pool: Pool) -> None:
    """It holds the child's socket, so no end of file would ever come."""
    failed = await failure(pool, work("wreck", {"what": "fork-and-stay"}))
    assert failed.message == "Its process exited with status 5."
    await works(pool)


async def test_a_program_that_a_run_started_dies_with_its_child(pool: Pool) -> None:
    pids: list[int] = []
    wanted = work("wreck", {"what": "subprocess"}, time_limit=0.5)
    with pytest.raises(RunFailed, match="time limit"):
        await pool.run(wanted, lambda progress: pids.append(int(progress.done)))
    (pid,) = pids
    await eventually(lambda: not alive(pid))


async def test_a_thread_left_behind_cannot_speak_for_the_next_run(start_pool: StartPool) -> None:
    pool = await start_pool(slots=1, spares=0)
    await pool.run(work("wreck", {"what": "thread"}))
    heard: list[str] = []
    await pool.run(work("sleep", {"seconds": 0.1}), lambda progress: heard.append(progress.note))
    assert heard == [""]


async def test_a_flood_of_progress_ends_at_the_time_limit(pool: Pool) -> None:
    failed = await failure(pool, work("wreck", {"what": "flood"}, time_limit=0.3))
    assert failed.kind == "time-limit"
    await works(pool)


async def test_a_child_is_set_apart(pool: Pool) -> None:
    finished = await pool.run(work("ask"))
    facts = value_of(finished)
    assert facts["pid"] == finished.usage.pid
    assert facts["ppid"] == pool.zygote_pid
    assert facts["session"] == facts["group"] == facts["pid"]
    assert facts["nice"] == os.nice(0) + 15
    assert facts["oom"] == "1000"
    assert facts["core"] == 0
    assert facts["ignored"] == [True, True]
    assert facts["stdin"] == "/dev/null"
    assert facts["threads"] == 1
    assert facts["modules"] == []
    assert set(facts["environment"]) == {"PATH", "LANG", "PYTHONPATH"}
    assert facts["fds"] <= 8


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="kernel without autogroups")
async def test_its_session_is_below_the_services(pool: Pool) -> None:
    async def lowered() -> Any:
        facts = value_of(await pool.run(work("ask")))
        return facts if facts["autogroup"].endswith("nice 15") else None

    facts = await eventually(lowered)
    # The file of a process in the root session is empty: it is in no autogroup.
    ours = AUTOGROUP.read_text().split()  # noqa: ASYNC240 - of /proc
    theirs = facts["autogroup"].split()
    assert theirs[:1] != ours[:1]
    zygotes = Path(f"/proc/{pool.zygote_pid}/autogroup").read_text()  # noqa: ASYNC240 - of /proc
    assert zygotes.endswith("nice 0\n")
