"""The people whom README and the welcome lines name. Their keys are part of what the sample promises.

C-1001 and C-1002   Anna and Ben Lind: one household, two phones, a kitchen tablet that both log in on
C-1042 and C-1077   two Maria Santos, merged by a steward who should not have
C-1110 and C-1111   a library's cookie that was handed on
C-1150 and C-1151   a guest's e-mail on a friend's laptop: one profile, until the guest became a customer
C-1200              sold a phone; a steward split it off
C-1210              does not want to be linked
C-1220              does not want advertising
"""

from __future__ import annotations

from typing import Final

from service.model.changes import Revoke
from service.sample.diary import (
    Diary,
    SamePerson,
    SomebodyElse,
    cookie,
    crm,
    device,
    email,
    household,
    login,
    phone,
    session,
)

ANNA, BEN = 1001, 1002
MARIA, OTHER_MARIA = 1042, 1077
NUMBERS: Final = frozenset({1001, 1002, 1042, 1077, 1110, 1111, 1150, 1151, 1200, 1210, 1220})
ANNAS_PHONE: Final = device("phone-anna-2")
TABLET: Final = device("tablet-lind")
KIOSK: Final = device("kiosk-store-12")


def tell_cast(diary: Diary) -> None:
    """Writes down the stories above."""
    _anna(diary)
    _ben(diary)
    _marias(diary)
    _handed_on_cookie(diary)
    _guest(diary)
    _sold_phone(diary)
    _withdrawals(diary)


def _customer(diary: Diary, number: int, name: str, days_ago: float) -> None:
    """A customer with an account and an address, known for so many days."""
    diary.seen(crm(number), login(name), days_ago, "crm", "account")
    diary.seen(crm(number), email(f"{name}@example.com"), days_ago, "crm", "account")


def _anna(diary: Diary) -> None:
    _customer(diary, ANNA, "anna.lind", 700)
    diary.seen(crm(ANNA), phone("+447700900901"), 698, "crm", "contact")
    diary.seen(crm(ANNA), email("anna@lind-studio.example"), 210, "crm", "contact")
    diary.seen(crm(ANNA), household("lind-elm-street-4"), 690, "crm", "address")
    diary.seen(login("anna.lind"), device("phone-anna-1"), 640, "app", "login")
    diary.seen(login("anna.lind"), device("phone-anna-1"), 420, "app", "login")
    diary.seen(login("anna.lind"), ANNAS_PHONE, 415, "app", "login")
    diary.seen(login("anna.lind"), ANNAS_PHONE, 1.5, "app", "login")
    diary.seen(login("anna.lind"), cookie("ck-anna-old"), 130, "web", "login")
    diary.seen(login("anna.lind"), cookie("ck-anna-desk"), 6, "web", "login")
    diary.seen(email("anna@lind-studio.example"), cookie("ck-anna-work"), 20, "newsletter", "click")
    diary.seen(cookie("ck-anna-desk"), session("s-anna-today"), 0.2, "web", "visit")
    diary.seen(ANNAS_PHONE, device("tv-lind"), 30, "app", "same-network", guess=0.93)
    diary.seen(ANNAS_PHONE, device("laptop-elm-street"), 25, "app", "same-network", guess=0.72)
    diary.seen(login("anna.lind"), TABLET, 9, "app", "login")


def _ben(diary: Diary) -> None:
    _customer(diary, BEN, "ben.lind", 610)
    diary.seen(crm(BEN), phone("+447700900902"), 600, "crm", "contact")
    diary.seen(crm(BEN), household("lind-elm-street-4"), 600, "crm", "address")
    diary.seen(login("ben.lind"), device("phone-ben-1"), 80, "app", "login")
    diary.seen(login("ben.lind"), cookie("ck-ben"), 12, "web", "login")
    diary.seen(login("ben.lind"), TABLET, 500, "app", "login")
    diary.seen(login("ben.lind"), TABLET, 2, "app", "login")


def _marias(diary: Diary) -> None:
    _customer(diary, MARIA, "maria.santos", 560)
    diary.seen(crm(MARIA), phone("+447700900942"), 555, "crm", "contact")
    diary.seen(login("maria.santos"), device("phone-maria-lisbon"), 15, "app", "login")
    _customer(diary, OTHER_MARIA, "m.santos", 300)
    diary.seen(crm(OTHER_MARIA), phone("+447700900977"), 290, "crm", "contact")
    diary.seen(login("m.santos"), device("phone-maria-porto"), 4, "app", "login")
    diary.tell(45, SamePerson((crm(MARIA), crm(OTHER_MARIA)), "same name and the same birthday"))


def _handed_on_cookie(diary: Diary) -> None:
    _customer(diary, 1110, "noor.haddad", 500)
    _customer(diary, 1111, "lucas.meyer", 480)
    diary.seen(login("noor.haddad"), device("phone-noor"), 30, "app", "login")
    diary.seen(login("noor.haddad"), cookie("ck-library"), 60, "web", "login")
    diary.seen(login("lucas.meyer"), cookie("ck-library"), 3, "web", "login")


def _guest(diary: Diary) -> None:
    """Before the last line the guest's address is with the friend; it heals when that line arrives."""
    _customer(diary, 1150, "sara.novak", 450)
    diary.seen(email("sara.novak@example.com"), device("laptop-novak"), 130, "web", "checkout")
    diary.seen(email("joon.park@example.com"), device("laptop-novak"), 120, "web", "checkout")
    diary.seen(crm(1151), email("joon.park@example.com"), 20, "crm", "account")


def _sold_phone(diary: Diary) -> None:
    _customer(diary, 1200, "peter.kask", 400)
    diary.seen(login("peter.kask"), device("phone-kask-sold"), 90, "app", "login")
    diary.seen(device("phone-kask-sold"), cookie("ck-new-owner"), 35, "web", "visit")
    diary.seen(login("peter.kask"), device("phone-kask-new"), 33, "app", "login")
    leaving = (device("phone-kask-sold"), cookie("ck-new-owner"))
    diary.tell(31, SomebodyElse(crm(1200), leaving, "sold the phone, says the customer"))


def _withdrawals(diary: Diary) -> None:
    _customer(diary, 1210, "ines.costa", 380)
    diary.seen(login("ines.costa"), device("phone-ines"), 50, "app", "login")
    diary.tell(40, Revoke(login("ines.costa"), "linking", source="web", at=diary.at(40), reason="asked in the account"))
    _customer(diary, 1220, "tom.becker", 360)
    diary.seen(login("tom.becker"), cookie("ck-tom"), 10, "web", "login")
    withdrawn = Revoke(crm(1220), "purposes", ("advertising",), "GDPR", "web", diary.at(8), "cookie banner")
    diary.tell(8, withdrawn)
