"""A link that drops at random bytes: fifty drops here, a thousand by the command."""

from tests.faults.cut_links import faults_of, run


async def test_a_link_that_keeps_dropping() -> None:
    outcome = await run(50, seed=3)
    assert faults_of(outcome) == {}
    assert outcome.drops.total() >= 50
    assert len(outcome.drops) == 4, "every kind of drop"
    assert outcome.answered > 100
    assert outcome.told > 100
