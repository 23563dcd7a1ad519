"""Households, their children and the adults to contact."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache

from trial.sample.chance import Draws
from trial.sample.crossings import Plan
from trial.sample.names import CITY, CULTURES, POSTAL_CODES, RESTRICTIONS, STATE, STREETS, Culture
from trial.sample.schools import District, School
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

_FIRST_STUDENT = 100_000
_FIRST_CONTACT = 2_000_000
_LARGEST = 4


@dataclass(frozen=True, slots=True)
class Spell:
    """An enrolment from one day to another, both included, as indexes into the year's days; open if ``last`` is ``None``.

    ``last`` equal to ``first`` is a no-show.
    """

    school: School
    first: int
    last: int | None = None
    primary: bool = True


@dataclass(slots=True)
class Student:
    """One student, with the absences planned for them if they are one of those."""

    index: int
    first_name: str
    last_name: str
    female: bool
    birth: date
    grade: int
    language: str
    plan: Plan | None
    spells: list[Spell]

    @property
    def number(self) -> str:
        """The ``studentUniqueId``."""
        return str(_FIRST_STUDENT + self.index)

    @property
    def whole_year(self) -> bool:
        """Whether the student is at one school from the first day to the last."""
        return len(self.spells) == 1 and self.spells[0].first == 0 and self.spells[0].last is None

    def school_on(self, day: int) -> School | None:
        """The school that counts on this day of the year."""
        for spell in self.spells:
            if spell.primary and spell.first <= day <= (INSTRUCTIONAL_DAYS if spell.last is None else spell.last):
                return None if spell.first == spell.last else spell.school
        return None


@dataclass(slots=True)
class Household:
    """Children who live together, with the JSON lines of their contacts and of who is whose contact."""

    students: list[Student] = field(default_factory=list)
    contacts: list[str] = field(default_factory=list)
    associations: list[str] = field(default_factory=list)


def households(district: District, year: SchoolYear, plans: tuple[Plan, ...]) -> Iterator[Household]:
    """Households until every student of the district has one; students with a plan live alone with their guardians."""
    count = min(len(plans), district.students // 2)
    planned = {number * district.students // count: plans[number] for number in range(count)} if count else {}
    index = number = 0
    while index < district.students:
        draws = Draws(district.seed, "household", number, count=96)
        size = 1 + sum(draws.share() < chance for chance in (0.42, 0.16, 0.05))
        if index in planned:
            size = 1
        while any(index + child in planned for child in range(1, size)):
            size -= 1
        yield _household(district, year, number, draws, range(index, min(index + size, district.students)), planned)
        index += size
        number += 1


def _household(
    district: District, year: SchoolYear, number: int, draws: Draws, indexes: range, planned: dict[int, Plan]
) -> Household:
    culture = _culture(draws.share())
    family = draws.pick(culture.families)
    made = Household()
    for index in indexes:
        grade = draws.below(13)
        birth = date(year.starts.year - 6 - grade, 1 + draws.below(12), 1 + draws.below(28))
        female = draws.chance(0.5)
        given = draws.pick(culture.women if female else culture.men)
        plan = planned.get(index)
        home_school = district.school_for(number, grade)
        spells = [Spell(home_school, 0)] if plan else _spells(district, index, grade, home_school)
        made.students.append(Student(index, given, family, female, birth, grade, culture.language, plan, spells))
    adults = _adults(draws, culture, family, contact=_FIRST_CONTACT + 2 * number, sure=indexes[0] in planned)
    for row, contact, relation, lives_with, restriction in adults:
        made.contacts.append(row)
        primary = "true" if contact % 2 == 0 else "false"
        for student in made.students:
            made.associations.append(
                f'{{"studentReference":{{"studentUniqueId":"{student.number}"}},'
                f'"contactReference":{{"contactUniqueId":"{contact}"}},'
                f'"relationDescriptor":"uri://ed-fi.org/RelationDescriptor#{relation}",'
                f'"primaryContactStatus":{primary},"livesWith":{"true" if lives_with else "false"},'
                f'"emergencyContactStatus":{primary}{restriction}}}\n'
            )
    return made


def _culture(share: float) -> Culture:
    for culture in CULTURES:
        share -= culture.share
        if share < 0:
            return culture
    return CULTURES[0]


def _spells(district: District, index: int, grade: int, school: School) -> list[Spell]:
    """When the student was enrolled where: mostly all year; some come late, leave, move, never come, or have two schools."""
    draws = Draws(district.seed, "enrolment", index, count=8)
    kind, day = draws.share(), 5 + draws.below(155)
    sister = district.sister_of(school) if kind >= 0.985 else None
    spells = [Spell(school, 0)]
    if 0.950 <= kind < 0.970:
        spells = [Spell(school, day)]
    elif 0.970 <= kind < 0.985:
        spells = [Spell(school, 0, day)]
    elif 0.985 <= kind < 0.993 and sister:
        spells = [Spell(school, 0, day), Spell(sister, day + 1)]
    elif 0.993 <= kind < 0.996:
        spells = [Spell(school, 0, 0)]
    elif kind >= 0.996 and grade >= 9 and sister:
        spells = [Spell(school, 0), Spell(sister, day, primary=False)]
    return spells


def _adults(
    draws: Draws, culture: Culture, family: str, *, contact: int, sure: bool
) -> Iterator[tuple[str, int, str, bool, str]]:
    """The JSON line, ``contactUniqueId``, relation, whether they live together, and the restriction member of each adult.

    ``sure`` asks for a first adult who has an e-mail address and for no restriction at all.
    """
    kind = draws.share()
    relations = ("Mother", "Father") if draws.chance(0.7) else ("Father", "Mother")
    if kind < 0.06 and not sure:
        relations = ("Guardian", "Grandfather")
    reachable = sure or draws.share() >= 0.025
    home = _address(draws) if reachable and draws.chance(0.93) else ""
    other = _address(draws)
    for number in range(2 if kind < 0.80 else 1):
        apart = number == 1 and kind >= 0.58
        given = draws.pick(culture.women if relations[number] in ("Mother", "Guardian") else culture.men)
        surname = family if not apart and draws.chance(0.85) else draws.pick(culture.families)
        # Some couples read one mailbox.
        mailbox = contact if number == 1 and not apart and draws.chance(0.12) else contact + number
        mail = reachable and draws.share() < (0.82 if number == 0 else 0.62)
        phone = reachable and draws.chance(0.92)
        shares = draws.share(), draws.share(), draws.share()
        restricted = not sure and shares[0] < (0.006 if number == 0 else 0.05)
        address = (other if reachable else "") if apart else home
        row = (
            f'{{"contactUniqueId":"{contact + number}","firstName":"{given}","lastSurname":"{surname}",'
            f'"languages":[{{"languageDescriptor":"uri://ed-fi.org/LanguageDescriptor#{culture.code}",'
            '"uses":[{"languageUseDescriptor":"uri://ed-fi.org/LanguageUseDescriptor#Home language"},'
            '{"languageUseDescriptor":"uri://ed-fi.org/LanguageUseDescriptor#Correspondence language"}]}]'
            + (_mail(family, mailbox) if mail or (sure and number == 0) else "")
            + (_phone(shares[1], shares[2]) if phone else "")
            + address
            + "}\n"
        )
        restriction = (
            f',"contactRestrictions":"{RESTRICTIONS[int(shares[1] * len(RESTRICTIONS))]}"' if restricted else ""
        )
        yield row, contact + number, relations[number], not apart, restriction


def _mail(family: str, mailbox: int) -> str:
    return (
        f',"electronicMails":[{{"electronicMailAddress":"{_plain(family)}.{mailbox}@example.org",'
        '"electronicMailTypeDescriptor":"uri://ed-fi.org/ElectronicMailTypeDescriptor#Home/Personal"}]'
    )


def _phone(area: float, line: float) -> str:
    # 555-0100 to 555-0199 are kept free for fiction in every area code.
    return (
        f',"telephones":[{{"telephoneNumber":"({200 + int(area * 800)}) 555-01{int(line * 100):02}",'
        '"telephoneNumberTypeDescriptor":"uri://ed-fi.org/TelephoneNumberTypeDescriptor#Mobile","orderOfPriority":1}]'
    )


def _address(draws: Draws) -> str:
    return (
        ',"addresses":[{"addressTypeDescriptor":"uri://ed-fi.org/AddressTypeDescriptor#Home",'
        f'"streetNumberName":"{1 + draws.below(980)} {draws.pick(STREETS)}","city":"{CITY}",'
        f'"stateAbbreviationDescriptor":"uri://ed-fi.org/StateAbbreviationDescriptor#{STATE}",'
        f'"postalCode":"{draws.pick(POSTAL_CODES)}"}}]'
    )


@cache
def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.replace("Đ", "D").replace("đ", "d"))
    return "".join(letter for letter in folded if letter.isascii() and letter.isalpha()).lower()
