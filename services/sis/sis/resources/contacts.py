"""Contacts and whom they belong to."""

from sis.resources.kinds import Reference, Resource
from sis.resources.parts import NAME, STUDENT, TO_STUDENT, listed, needed, reference
from sis.rules.members import Member, day, descriptor, flag, identifier, order, text

CONTACTS = (
    Resource(
        name="contacts",
        shape={
            "contactUniqueId": needed(identifier),
            "firstName": NAME,
            "lastSurname": NAME,
            "languages": listed(
                languageDescriptor=needed(descriptor), uses=listed(languageUseDescriptor=needed(descriptor))
            ),
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
