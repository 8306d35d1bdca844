"""What a client's session does with its connection: what comes and goes, and the heartbeat."""

from collections.abc import Sequence

from msgspec import UNSET

from shared.rpc.ddp import messages as m
from shared.rpc.ddp import tandem as t
from shared.rpc.ddp.client_wire import ClientSessionConfig, ClientWire
from shared.rpc.ddp.events import ClientEvent, Closed, Complaint
from shared.rpc.ddp.frames import Outgoing
from shared.rpc.ddp.heartbeat import Heartbeat
from shared.rpc.ddp.introduction import Introduction
from shared.rpc.ejson import Ejson

NORMAL_CLOSURE = 1000


class ClientLink:
    """The base of a client's session."""

    def __init__(self, ejson: Ejson, config: ClientSessionConfig) -> None:
        self.is_connected = False
        """Whether the server has welcomed us."""
        self._is_connecting = False
        self._introduction = Introduction(config.versions)
        self._deadline: float | None = None
        self._heartbeat = Heartbeat(config.heartbeat)
        self._wire = ClientWire(ejson, config)
        self._events: list[ClientEvent] = []

    @property
    def has_texts_to_send(self) -> bool:
        """Whether :meth:`texts_to_send` would return any."""
        return self._wire.has_texts_to_send

    @property
    def bytes_to_send(self) -> int:
        """How long the texts are that :meth:`texts_to_send` would return."""
        return self._wire.bytes_to_send

    def texts_to_send(self) -> Sequence[Outgoing]:
        """Take out what must be sent now, in order."""
        return self._wire.texts_to_send()

    @property
    def has_bulk_to_send(self) -> bool:
        """Whether :meth:`bulk_to_send` would return anything."""
        return self._wire.has_bulk_to_send

    def bulk_to_send(self) -> Sequence[Outgoing]:
        """Take out a little of what can wait until there are no texts to send."""
        return self._wire.bulk_to_send()

    def events(self) -> list[ClientEvent]:
        """Take out what happened since the last call."""
        events, self._events = self._events, []
        return events

    def next_timer(self) -> float | None:
        """When to call :meth:`handle_timer` next, or None for never."""
        return self._deadline if self._deadline is not None else self._heartbeat.next_timer()

    def handle_timer(self, now: float) -> None:
        """Let time pass: send a ping, or give up on a silent server."""
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._events.append(Closed(NORMAL_CLOSURE, "no answer to connect"))
        elif self._heartbeat.is_dead(now):
            self._heartbeat.stop()
            self._events.append(Closed(NORMAL_CLOSURE, "no answer to ping"))
        elif self._heartbeat.tick(now):
            self._wire.put(m.encode(m.Ping()))

    def other_side_is_alive(self) -> None:
        """It takes what it is sent, though nothing is read from it meanwhile."""
        self._heartbeat.message_received()

    def _on_error(self, message: m.Error) -> None:
        offending = message.offending_message
        quoted = "" if offending is UNSET else bytes(offending).decode(errors="replace")
        self._events.append(Complaint(message.reason, quoted[:1000]))

    def _on_heartbeat(self, message: m.ServerMessage | t.Progress) -> None:
        if isinstance(message, m.Ping) and self._introduction.version != "pre1":
            self._wire.put(m.encode(m.Pong(message.id)))

    def _end(self, code: int, reason: str) -> None:
        """The ends disagree, or we lost track: the session is of no more use."""
        self._introduction.forget_session()
        self._events.append(Closed(code, reason))
