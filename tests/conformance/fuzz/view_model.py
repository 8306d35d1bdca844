"""What a client must see of what was published to it, worked out once more and slowly."""

from collections.abc import Hashable, Mapping
from typing import Any

from shared.rpc.ejson import UNDEFINED, equals

Claims = dict[str, list[tuple[Hashable, Any]]]


class Published:
    """Who published which field of which document, the earliest first: ``SERVER_MERGE``."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], list[Hashable]] = {}
        self._claims: dict[tuple[str, str], Claims] = {}

    @property
    def held(self) -> int:
        """How many documents its subscriptions have, one that two of them have twice."""
        return sum(map(len, self._owners.values()))

    def has(self, sub: Hashable, collection: str, document_id: str) -> bool:
        return sub in self._owners.get((collection, document_id), ())

    def added(
        self, sub: Hashable, collection: str, document_id: str, fields: Mapping[str, Any]
    ) -> None:
        key = collection, document_id
        owners = self._owners.setdefault(key, [])
        if sub not in owners:
            owners.append(sub)
        self._claims.setdefault(key, {})
        given = {name: value for name, value in fields.items() if value is not UNDEFINED}
        self.changed(sub, collection, document_id, given)

    def changed(
        self, sub: Hashable, collection: str, document_id: str, fields: Mapping[str, Any]
    ) -> None:
        claims = self._claims[collection, document_id]
        for name, value in fields.items():
            if name == "_id":
                continue
            mine = claims.setdefault(name, [])
            places = [at for at, (owner, _value) in enumerate(mine) if owner is sub]
            if value is not UNDEFINED and places:
                mine[places[0]] = sub, value
            elif value is not UNDEFINED:
                mine.append((sub, value))
            elif places:
                del mine[places[0]]

    def replaced(
        self, sub: Hashable, collection: str, document_id: str, fields: Mapping[str, Any]
    ) -> None:
        claims = self._claims[collection, document_id]
        mine = {name for name, all_ in claims.items() if any(owner is sub for owner, _ in all_)}
        gone = dict.fromkeys(mine - set(fields), UNDEFINED)
        self.changed(sub, collection, document_id, {**fields, **gone})

    def removed(self, sub: Hashable, collection: str, document_id: str) -> None:
        key = collection, document_id
        self._owners[key].remove(sub)
        if not self._owners[key]:
            del self._owners[key], self._claims[key]
            return
        for claims in self._claims[key].values():
            claims[:] = [claim for claim in claims if claim[0] is not sub]

    def left(self, sub: Hashable) -> None:
        for collection, document_id in [k for k, owners in self._owners.items() if sub in owners]:
            self.removed(sub, collection, document_id)

    def clear(self) -> None:
        self._owners.clear()
        self._claims.clear()

    @property
    def documents(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            key: {name: mine[0][1] for name, mine in claims.items() if mine}
            for key, claims in self._claims.items()
        }


class Seen:
    """What a client holds that believes every text, and does not forgive a wrong one."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}

    def apply(
        self,
        kind: str,
        collection: str,
        document_id: Any,
        fields: Mapping[str, Any],
        cleared: list[str],
    ) -> None:
        key = collection, document_id
        assert kind in ("added", "changed", "removed")
        assert (key in self.documents) == (kind != "added"), f"{kind} of {key}"
        if kind == "removed":
            del self.documents[key]
            return
        document = self.documents.setdefault(key, {})
        assert kind == "added" or fields or cleared, "an empty change"
        document.update(fields)
        for name in cleared:
            assert name in document, f"{name} of {key} was not there to be cleared"
            del document[name]

    def check(self, expected: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        assert equals(self.documents, dict(expected)), (self.documents, expected)
