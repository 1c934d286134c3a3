"""Everybody else: customers with rotating devices and cookies, families, a kiosk, visitors whom nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

from service.model.identifiers import IdentifierKey
from service.sample.cast import KIOSK, NUMBERS
from service.sample.diary import Diary, cookie, crm, device, email, household, login, phone, session
from service.sample.draws import Draws

_GIVEN = [
    "ada",
    "alba",
    "aziz",
    "bea",
    "carl",
    "chloe",
    "dan",
    "dina",
    "emil",
    "eva",
    "felix",
    "fatima",
    "gus",
    "hana",
    "hugo",
    "ida",
    "ivan",
    "jana",
    "jonas",
    "kai",
    "kira",
    "leo",
    "lena",
    "malik",
    "mara",
    "nils",
    "nora",
    "omar",
    "olga",
    "paul",
    "pia",
    "quinn",
    "rosa",
    "remi",
    "sami",
    "sofia",
    "tariq",
    "tilda",
    "ugo",
    "vera",
    "walt",
    "wanda",
    "yara",
    "zeno",
]
_FAMILY = [
    "abbas",
    "adler",
    "alves",
    "baker",
    "bauer",
    "blom",
    "brandt",
    "cohen",
    "diaz",
    "engel",
    "ferrari",
    "fischer",
    "garcia",
    "gomez",
    "hansen",
    "ito",
    "jansen",
    "jones",
    "kaya",
    "keller",
    "khan",
    "klein",
    "kowalski",
    "larsen",
    "lopez",
    "martin",
    "meier",
    "moreau",
    "nagy",
    "nguyen",
    "okafor",
    "olsen",
    "patel",
    "peeters",
    "rossi",
    "sato",
    "schmidt",
    "silva",
    "singh",
    "smit",
    "tanaka",
    "torres",
    "vogel",
    "weber",
    "wong",
    "yilmaz",
]
_DOMAINS = ("example.com", "example.org", "example.net", "mail.example")
_HISTORY_DAYS = 730.0
_DEVICE_LIFE_DAYS = (360.0, 900.0)


@dataclass(frozen=True, slots=True)
class _Person:
    number: int
    name: str
    family: str
    address: IdentifierKey
    since: float
    login: IdentifierKey | None


class Crowd:
    """Writes their two years down, as `draws` has it."""

    def __init__(self, diary: Diary, draws: Draws) -> None:
        self._diary = diary
        self._draws = draws

    def live(self, people: int, visitors: int) -> None:
        """So many customers, and visitors without a name."""
        numbers = (number for number in range(1001, 9999) if number not in NUMBERS)
        persons: list[_Person] = []
        while len(persons) < people:
            size = min(self._draws.one_of((1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5)), people - len(persons))
            persons += self._household([next(numbers) for _ in range(size)])
        self._kiosk(persons[::9][:36])
        for number in range(visitors):
            self._visitor(number)

    def _household(self, numbers: list[int]) -> list[_Person]:
        family = self._draws.one_of(_FAMILY)
        persons = [self._person(number, family) for number in numbers]
        if len(persons) > 1:
            for person in persons:
                self._diary.seen(
                    crm(person.number), household(f"{family}-{numbers[0]}"), person.since * 0.9, "crm", "address"
                )
            self._tablet(persons, f"tablet-{family}-{numbers[0]}")
        return persons

    def _person(self, number: int, family: str) -> _Person:
        draws, diary = self._draws, self._diary
        name = f"{draws.one_of(_GIVEN)}.{family}{number % 100:02}"
        since = draws.between(20, _HISTORY_DAYS)
        address = email(f"{name}@{draws.one_of(_DOMAINS)}")
        person = _Person(number, name, family, address, since, login(name) if draws.happens(0.8) else None)
        diary.seen(crm(number), address, since, "crm", "account")
        if draws.happens(0.7):
            diary.seen(crm(number), phone(f"+447700{900_000 + number % 1000}"), since * 0.95, "crm", "contact")
        if draws.happens(0.15):
            diary.seen(crm(number), email(f"{name}@work.example"), since * draws.between(0.2, 0.8), "crm", "contact")
        if person.login is not None:
            diary.seen(crm(number), person.login, since, "crm", "account")
            self._devices(person, person.login)
        self._cookies(person)
        return person

    def _devices(self, person: _Person, account: IdentifierKey) -> None:
        """A new phone every year or so; each is seen on its last day, some first ones on their first day too."""
        bought, count = person.since, 0
        while bought > 0:
            count += 1
            phone_id = device(f"phone-{person.name}-{count}")
            last = max(self._draws.between(0.1, 20), bought - self._draws.between(*_DEVICE_LIFE_DAYS))
            if last < bought:
                if count == 1 and self._draws.happens(0.3):
                    self._diary.seen(account, phone_id, bought, "app", "login")
                self._diary.seen(account, phone_id, last, "app", "login")
            bought = last - self._draws.between(0, 10) if last > 20 else 0
        if self._draws.happens(0.3):
            guess = round(self._draws.between(0.6, 0.99), 2)
            seen = self._draws.between(1, 120)
            self._diary.seen(phone_id, device(f"tv-{person.name}"), seen, "app", "same-network", guess=guess)

    def _cookies(self, person: _Person) -> None:
        """Cookies come and go: by login, or by a click in a mail; the last one may have a visit of today."""
        seen, count = self._draws.between(0, 120), 0
        while seen < min(person.since, 400) and count < 2:
            count += 1
            name = cookie(f"ck-{person.number}-{count}")
            if person.login is not None and self._draws.happens(0.7):
                self._diary.seen(person.login, name, seen, "web", "login")
            else:
                self._diary.seen(person.address, name, seen, "newsletter", "click")
            if count == 1 and self._draws.happens(0.4):
                visit = min(seen, self._draws.between(0.02, 2.5))
                self._diary.seen(name, session(f"s-{person.number}"), visit, "web", "visit")
            seen += self._draws.between(120, 400)
        if self._draws.happens(0.08):
            began = self._draws.between(200, 400)
            offer = cookie(f"ck-offer-{person.number}")
            self._diary.seen(person.address, offer, began, "newsletter", "offer", ends_days_ago=began - 30)

    def _tablet(self, persons: list[_Person], name: str) -> None:
        """A tablet at home: two people take turns on it; with four and their guests it is over the limit of links."""
        for person in persons:
            if person.login is not None:
                self._diary.seen(person.login, device(name), self._draws.between(0.5, 45), "app", "login")
            if len(persons) >= 4:
                self._diary.seen(person.address, device(name), self._draws.between(1, 200), "web", "checkout")
                seen = self._draws.between(1, 80)
                self._diary.seen(device(name), cookie(f"ck-guest-{person.number}"), seen, "web", "visit")

    def _kiosk(self, persons: list[_Person]) -> None:
        """The screen in the store, where many type in their address."""
        for person in persons:
            seen = min(person.since, self._draws.between(1, 180))
            self._diary.seen(person.address, KIOSK, seen, "store", "receipt")

    def _visitor(self, number: int) -> None:
        seen = self._draws.between(0.02, 120)
        name = cookie(f"ck-visitor-{number}")
        self._diary.seen(name, session(f"s-visitor-{number}"), seen, "web", "visit")
        if self._draws.happens(0.4):
            guess = round(self._draws.between(0.6, 0.97), 2)
            self._diary.seen(name, device(f"tablet-visitor-{number}"), seen, "web", "same-network", guess=guess)
