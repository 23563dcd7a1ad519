"""Contacts and whom they belong to, also under the names of Data Standard 4."""

from dataclasses import replace

from sis.resources.kinds import Reference, Resource
from sis.resources.parts import LANGUAGES, NAME, STUDENT, TO_STUDENT, listed, needed, reference
from sis.rules.members import Member
from sis.rules.values import day, descriptor, flag, identifier, order, text

CONTACTS = (
    Resource(
        name="contacts",
        shape={
            "contactUniqueId": needed(identifier),
            "firstName": NAME,
            "lastSurname": NAME,
            "languages": LANGUAGES,
            "electronicMails": listed(
                electronicMailAddress=needed(text(254)), primaryEmailAddressIndicator=Member(flag)
            ),
            "addresses": listed(
                addressTypeDescriptor=Member(descriptor),
                streetNumberName=Member(text(150)),
                apartmentRoomSuiteNumber=Member(text(50)),
                city=Member(text(60)),
                stateAbbreviationDescriptor=Member(descriptor),
                postalCode=Member(text(20)),
                periods=listed(beginDate=Member(day), endDate=Member(day)),
            ),
            "telephones": listed(
                telephoneNumber=needed(text(40)),
                telephoneNumberTypeDescriptor=Member(descriptor),
                orderOfPriority=Member(order),
            ),
        },
        identity=("contactUniqueId",),
        sealed=frozenset(("firstName", "lastSurname", "languages", "electronicMails", "addresses", "telephones")),
    ),
    Resource(
        name="studentContactAssociations",
        shape={
            "studentReference": STUDENT,
            "contactReference": reference(contactUniqueId=needed(identifier)),
            "relationDescriptor": Member(descriptor),
            "livesWith": Member(flag),
            "primaryContactStatus": Member(flag),
            "contactRestrictions": Member(text(1000, lines=True)),
        },
        identity=("studentReference.studentUniqueId", "contactReference.contactUniqueId"),
        references=(TO_STUDENT, Reference("contacts", "contactReference", ("contactUniqueId",))),
        sealed=frozenset(("contactRestrictions",)),
    ),
)

OLD_NAMES = {"contactUniqueId": "parentUniqueId", "contactReference": "parentReference"}
"""Members as Data Standard 4 names them. Source: Ed-Fi Data Standard 5.0, which renamed Parent to Contact."""

PARENTS = {
    "parents": replace(CONTACTS[0], told=OLD_NAMES),
    "studentParentAssociations": replace(CONTACTS[1], told=OLD_NAMES),
}
"""The same resources under the names of Data Standard 4."""
