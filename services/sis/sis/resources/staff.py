"""Staff, their assignments, and the sections they teach."""

from sis.resources.kinds import InOrder, Resource
from sis.resources.parts import ORGANIZATION, SECTION, SECTION_KEY, STAFF, TO_SECTION, TO_STAFF, listed, needed, paths
from sis.rules.members import Member
from sis.rules.values import day, descriptor, identifier, text

STAFFS = (
    Resource(
        # The addresses tell which person it is that signs in, and reach those whom an urgent request for help is told to.
        name="staffs",
        shape={
            "staffUniqueId": needed(identifier),
            "electronicMails": listed(electronicMailAddress=needed(text(254))),
        },
        identity=("staffUniqueId",),
        sealed=frozenset(("electronicMails",)),
    ),
    Resource(
        # The organisation may be the district, which is never pushed: it is not checked.
        name="staffEducationOrganizationAssignmentAssociations",
        shape={
            "staffReference": STAFF,
            "educationOrganizationReference": ORGANIZATION,
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
        references=(TO_STAFF,),
        school="educationOrganizationReference.educationOrganizationId",
        codes=frozenset(("staffClassificationDescriptor",)),
        check=InOrder("beginDate", "endDate"),
    ),
    Resource(
        # Who teaches whom. Exports of Data Standard 4 leave out when it began.
        name="staffSectionAssociations",
        shape={
            "staffReference": STAFF,
            "sectionReference": SECTION,
            "beginDate": Member(day),
            "endDate": Member(day),
            "classroomPositionDescriptor": Member(descriptor),
        },
        identity=("staffReference.staffUniqueId", *paths("sectionReference", SECTION_KEY), "beginDate"),
        references=(TO_STAFF, TO_SECTION),
        school="sectionReference.schoolId",
        check=InOrder("beginDate", "endDate"),
    ),
)
