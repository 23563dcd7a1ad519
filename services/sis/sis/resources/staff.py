"""Staff and their assignments."""

from sis.resources.kinds import Reference, Resource
from sis.resources.parts import STAFF, needed, reference
from sis.rules.members import Member, day, descriptor, identifier, school_id

STAFFS = (
    Resource(name="staffs", shape={"staffUniqueId": needed(identifier)}, identity=("staffUniqueId",)),
    Resource(
        # The organisation may be the district, which is never pushed: it is not checked.
        name="staffEducationOrganizationAssignmentAssociations",
        shape={
            "staffReference": STAFF,
            "educationOrganizationReference": reference(educationOrganizationId=needed(school_id)),
            "staffClassificationDescriptor": needed(descriptor),
            "beginDate": needed(day),
            "endDate": Member(day),
        },
        identity=(
            "staffReference.staffUniqueId",
            "educationOrganizationReference.educationOrganizationId",
            "staffClassificationDescriptor",
            "beginDate",
        ),
        references=(Reference("staffs", "staffReference", ("staffUniqueId",)),),
        school="educationOrganizationReference.educationOrganizationId",
        codes=frozenset(("staffClassificationDescriptor",)),
    ),
)
