"""What came of a student's part in an incident."""

from common.events import Harm
from sis.rules.incidents import IncidentPolicy

POLICY = IncidentPolicy(injury=["battery", "riot"], damage=["vandalism", "riot"])


def test_a_behavior_says_what_the_district_reads_from_it_in_any_spelling_and_often_nothing() -> None:
    assert POLICY.harms("uri://ed-fi.org/BehaviorDescriptor#Battery") == [Harm.INJURY]
    assert POLICY.harms("VANDALISM") == [Harm.DAMAGE]
    assert POLICY.harms("x#Riot") == [Harm.INJURY, Harm.DAMAGE]
    assert POLICY.harms("uri://ed-fi.org/BehaviorDescriptor#School Violation") == []
