"""How a client introduces itself: with which version, and which session it wants back.

Both ends count the messages that the server sends in a session, pings and pongs left out.
So the server knows which ones were lost with a connection, and sends them again.
"""

from collections.abc import Sequence

from msgspec import UNSET

from shared.rpc.ddp import messages as m

_VAIN_RESUMES = 3
"""So many resumed connections in a row that broke before anything came end the session.

What comes next may be what breaks them, for instance because it is too large for us.
"""


class Introduction:
    """What a client and its server have to agree on before anything else."""

    def __init__(self, versions: Sequence[str]) -> None:
        """``versions``: best first; that one is proposed first."""
        self.version = versions[0]
        """The one that is proposed, or agreed on."""
        self.received = 0
        """Messages received in this session; the owner adds each."""
        self._versions = list(versions)
        self._refused: set[str] = set()
        self._session_id: str | None = None
        self._received_when_resumed: int | None = None
        self._vain_resumes = 0

    def connect(self) -> m.Connect:
        """The first message of a connection."""
        is_known = self._session_id is not None
        return m.Connect(
            session=self._session_id if is_known else UNSET,
            received_count=self.received if is_known else UNSET,
            version=self.version,
            support=self._versions,
        )

    def refused(self, offered: str) -> bool:
        """The server would rather have this version; returns whether to try with that."""
        self._refused.add(self.version)
        if offered not in self._versions or offered in self._refused:
            return False
        self.version = offered
        return True

    def welcomed(self, session_id: str) -> bool:
        """The server agrees; returns whether this is the session that was asked for."""
        self._refused.clear()
        is_resumed = session_id == self._session_id
        self.received = self.received + 1 if is_resumed else 1
        self._received_when_resumed = self.received if is_resumed else None
        self._session_id = session_id
        return is_resumed

    def broke(self) -> bool:
        """A welcomed connection was lost; returns whether the session had to be given up."""
        is_in_vain = self._received_when_resumed == self.received
        self._vain_resumes = self._vain_resumes + 1 if is_in_vain else 0
        if self._vain_resumes < _VAIN_RESUMES:
            return False
        self._vain_resumes = 0
        self.forget_session()
        return True

    def forget_session(self) -> None:
        """The next connection shall begin anew."""
        self._session_id = None
