"""What a child of the pool does: read a run, call its function, answer, until the end of file.

Nothing that a job function does may harm another run: whatever it raises becomes an
answer, what it prints goes to the service's stderr, and if it wrecks the process (closes
the socket, exits, crashes) only its own run is lost, for no child shares anything.
"""

import fcntl
import mmap
import os
import select
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from jobs_service import memfd
from jobs_service.job import Discard, Input, Job, Output, Progress, Run
from jobs_service.pool import linux, wire
from jobs_service.pool.failure_text import clean, message_of, safely, traceback_of
from jobs_service.pool.meter import Meter
from jobs_service.pool.stderr import stderr_stream

_MAX_CODE = 100
_MAX_MESSAGE = 2_000
_MAX_TRACEBACK = 20_000
_MAX_NOTE = 500
_LOWER_AGAIN_MILLISECONDS = 50
_STANDARD_FDS = (0, 1, 2)


class Runnable(NamedTuple):
    """A job function with the decoder of its contract."""

    function: Callable[[Any, Run], Any]
    params: msgspec.msgpack.Decoder[Any]


def runnables(jobs: Mapping[str, Job]) -> dict[str, Runnable]:
    """The jobs that a child can run: all but the ones for the event loop."""
    return {
        name: Runnable(job.function, msgspec.msgpack.Decoder(job.contract))
        for name, job in jobs.items()
        if not job.on_loop
    }


class Child:
    """Serves the runs that come through one socket, one after the other."""

    def __init__(self, sock: socket.socket, jobs: Mapping[str, Runnable], nice: int) -> None:
        self._nice = nice
        self._lowered = linux.lower_session(nice)
        self._channel = wire.Channel(sock)
        self._jobs = jobs
        self._decoder = msgspec.msgpack.Decoder(wire.Start)
        self._encode = msgspec.msgpack.Encoder().encode
        self._pid = os.getpid()
        self._stderr = sys.stdout = sys.stderr = stderr_stream()
        self._kept_stdin, self._kept_stderr = _kept(0), _kept(2)
        self._meter = Meter()

    def serve(self) -> None:
        """Say hello, then run what comes, until the service closes its end."""
        pidfd = os.pidfd_open(self._pid)
        self._channel.send(wire.Hello(self._pid), [pidfd])
        os.close(pidfd)
        while True:
            if not self._lowered:
                self._lower_while_idle()
            try:
                data, fds = self._channel.receive()
            except EOFError:
                return
            self._serve_one(self._decoder.decode(data), fds)
            self._restore_standard_fds()

    def _lower_while_idle(self) -> None:
        """Try until it is done, or until a run comes, which goes first."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        while not (self._lowered or poll.poll(_LOWER_AGAIN_MILLISECONDS)):
            self._lowered = linux.lower_session(self._nice)

    def _serve_one(self, start: wire.Start, fds: list[int]) -> None:
        self._meter.start()
        attempt = _Attempt(start, self._report_for(start.seq))
        answer: wire.Returned | wire.Raised
        try:
            answer, answer_fds = self._answer(attempt, fds)
        except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt too
            answer, answer_fds = self._raised(start.seq, error), []
        if os.getpid() != self._pid:
            os._exit(0)  # the function forked, and this is the copy, back from it
        self._channel.send(answer, answer_fds)
        # From here on nobody waits.
        attempt.close()
        self._restore_streams()
        self._meter.reset()

    def _answer(self, attempt: "_Attempt", fds: list[int]) -> tuple[wire.Returned, list[int]]:
        start = attempt.start
        try:
            runnable = self._jobs.get(start.job)
            if runnable is None:
                raise Discard("unknown-type", f"No job type {start.job!r} runs in a child here.")
            params = _decode_params(runnable, start, fds)
            attempt.open_inputs(fds[-len(start.inputs) :] if start.inputs else [])
        finally:
            wire.close_all(fds)
        result = runnable.function(params, attempt.run)
        return self._returned(attempt, result)

    def _returned(self, attempt: "_Attempt", result: Any) -> tuple[wire.Returned, list[int]]:
        outputs = attempt.run.outputs
        if len(outputs) > wire.MAX_RUN_FILES:
            raise _BadResultError(f"{len(outputs)} outputs; a run can have {wire.MAX_RUN_FILES}")
        try:
            value: bytes | None = self._encode(result)
        except Exception as error:
            raise _BadResultError(f"the result can't be sent: {message_of(error)}") from error
        if len(value or b"") > wire.MAX_INLINE:
            attempt.value_fd = memfd.create_with("value", value or b"")
            value = None
        answer = wire.Returned(
            seq=attempt.start.seq,
            value=value,
            outputs=tuple([_sealed(output) for output in outputs]),
            cost=self._meter.cost(),
        )
        return answer, attempt.answer_fds()

    def _raised(self, seq: int, error: BaseException) -> wire.Raised:
        kind: Literal["failed", "discarded"] = "failed"
        code = safely(lambda: type(error).__name__, "error")
        trace = traceback_of(error, __file__)
        if isinstance(error, Discard):
            kind, code = "discarded", safely(lambda: str(error.code), "discarded")
        elif isinstance(error, _BadResultError):
            code, trace = (
                "bad-result",
                traceback_of(error.__cause__, __file__) if error.__cause__ else "",
            )
        elif isinstance(error, _BadParamsError):
            kind, code, trace = "discarded", "bad-params", ""
        return wire.Raised(
            seq=seq,
            kind=kind,
            code=clean(code, _MAX_CODE),
            message=clean(message_of(error), _MAX_MESSAGE),
            traceback=clean(trace[-_MAX_TRACEBACK:], _MAX_TRACEBACK),
            cost=self._meter.cost(),
        )

    def _report_for(self, seq: int) -> Callable[[Progress], None]:
        def report(progress: Progress) -> None:
            total = None if progress.total is None else float(progress.total)
            note = clean(str(progress.note), _MAX_NOTE)
            self._channel.send(wire.Progressed(seq, float(progress.done), total, note))

        return report

    def _restore_standard_fds(self) -> None:
        """Else the next file that a run opens would get its prints."""
        try:
            for fd in _STANDARD_FDS:
                fcntl.fcntl(fd, fcntl.F_GETFD)
        except OSError:
            for fd in _STANDARD_FDS:
                os.dup2(self._kept_stderr if fd else self._kept_stdin, fd)

    def _restore_streams(self) -> None:
        try:
            self._stderr.flush()
        except ValueError:  # the function closed it
            self._stderr = stderr_stream()
        sys.stdout = sys.stderr = self._stderr


class _BadParamsError(Exception):
    """The parameters are not what the contract asks for."""


class _BadResultError(Exception):
    """The function returned what can't be sent, or left its outputs in no state to be sent."""


class _Attempt:
    """The descriptors of one run, from the message that brought them to the answer."""

    def __init__(self, start: wire.Start, report: Callable[[Progress], None]) -> None:
        self.start = start
        self.value_fd: int | None = None
        self._inputs: dict[str, Input] = {}
        self.run = Run(
            run_id=start.run_id,
            attempt=start.attempt,
            files_seed=start.files_seed,
            inputs=self._inputs,
            report=report,
            database_url=start.database_url,
        )

    def open_inputs(self, fds: Sequence[int]) -> None:
        """Open the inputs anew: a descriptor that was sent shares its position with the sender's."""
        for info, fd in zip(self.start.inputs, fds, strict=True):
            self._inputs[info.id] = Input(
                id=info.id,
                fd=memfd.reopen(fd),
                filename=info.filename,
                content_type=info.content_type,
                size=memfd.size(fd),
            )

    def answer_fds(self) -> list[int]:
        value = [] if self.value_fd is None else [self.value_fd]
        return value + [output.fd for output in self.run.outputs]

    def close(self) -> None:
        self.run.close()
        if self.value_fd is not None:
            memfd.close(self.value_fd)


def _decode_params(runnable: Runnable, start: wire.Start, fds: Sequence[int]) -> Any:
    try:
        if start.params is not None:
            return runnable.params.decode(start.params)
        # Sealed by the service. Not closed here: parameters may be views of it.
        return runnable.params.decode(mmap.mmap(fds[0], 0, prot=mmap.PROT_READ))
    except msgspec.MsgspecError as error:
        raise _BadParamsError(str(error)) from None


def _sealed(output: Output) -> wire.FileInfo:
    try:
        os.lseek(output.fd, 0, os.SEEK_SET)
        memfd.seal(output.fd)
    except OSError as error:
        # EBUSY: still mapped for writing. EBADF: the function closed it.
        reason = f"the output {output.filename!r} can't be sealed: {error.strerror}"
        raise _BadResultError(reason) from error
    return wire.FileInfo(
        id=output.id,
        filename=clean(str(output.filename), 255),
        content_type=clean(str(output.content_type), 255),
    )


def _kept(fd: int) -> int:
    """A copy of a standard descriptor, for the time when a job has closed it."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
