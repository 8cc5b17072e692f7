"""Whether two statements are about one thing: only then does the newer replace the older."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.mind import Answer, Mind, Taught
from lab.mind.language.subjects import fixed_words, other_subject

OTHERS = [  # a statement with what it says, and one that is alike of something else
    ("The code of gate 1 is 1001.", "1001", "The code of gate 2 is 1002.", "1002"),
    ("The code of gate 1 is 1001.", "1", "The code of gate 2 is 1002.", "2"),  # whatever the brain takes for the answer
    ("Gate 1's code is 1001.", "1001", "The code of gate 2 is 1002.", "1002"),
    ("The code of gate 1 is 1001.", "1001", "The code of gate 2 is 1001.", "1001"),
    ("Room 3 is for taxes.", "taxes", "Room 4 is for hiring.", "hiring"),
    ("Flight 101 leaves at 9:15.", "9:15", "Flight 202 leaves at 11:40.", "11:40"),
    ("Version 1.0 came out in May.", "May", "Version 1.1 came out in June.", "June"),
    ("The first floor belongs to sales.", "sales", "The second floor belongs to design.", "design"),
    ("My first child is called Ida.", "Ida", "My second child is called Karl.", "Karl"),
    ("On Monday we eat fish.", "fish", "On Tuesday we eat soup.", "soup"),
    ("on monday we eat fish", "fish", "on tuesday we eat soup", "soup"),
    ("In 2019 I lived in Rome.", "Rome", "In 2020 I lived in Lima.", "Lima"),
    ("The rent for May was 700.", "700", "The rent for June was 720.", "720"),
    ("Anna's locker is 14.", "14", "Bruno's locker is 23.", "23"),
    ("Anna lives in Oslo.", "Oslo", "Bruno lives in Rome.", "Rome"),
    ("The office in Paris opens at 7.", "7", "The office in Berlin opens at 8.", "8"),
    ("The password of my laptop is tiger.", "tiger", "The password of my phone is maple.", "maple"),
    ("My favourite film is Alien.", "Alien", "My favorite book is Dune.", "Dune"),
    (
        "Player 1 beats player 2.",
        "player 2",
        "Player 2 beats player 1.",
        "player 1",
    ),  # what one says the other is about
    ("The size of floor 3 is 4.", "4", "The size of floor 4 is 3.", "3"),
    ("My phone number is 5.", "5", "The phone number of Anna is 6.", "6"),  # only one has it: a doubt
]
SAME = [  # a statement, and one that takes its place
    ("My phone number is 5.", "5", "My phone number is now 6.", "6"),
    ("I live in Oslo.", "Oslo", "I live in Bergen now.", "Bergen"),
    ("I live in Oslo.", "Oslo", "I moved to Bergen.", "Bergen"),
    ("My sister's name is Anna.", "Anna", "My sister is called Berta.", "Berta"),
    ("My name is Alice.", "Alice", "My name is Bob.", "Bob"),
    ("My birthday is May 3.", "May 3", "My birthday is on June 14.", "June 14"),
    ("My phone number is 5.", "5", "My phone number is no longer 5 but 6.", "6"),
    ("The code of gate 7 is 4411.", "4411", "The code of gate 7 is 5522.", "5522"),
    ("The meeting is at 3.", "3", "The meeting moved from 3 to 4.", "4"),
    ("Flight 606 leaves at 9:15.", "9:15", "Flight 606 now leaves at 10:45.", "10:45"),
    ("The meeting on Monday is in room 5.", "room 5", "The meeting on Monday is in room 8.", "room 8"),
    ("My second child is called Otto.", "Otto", "My second child is Hugo.", "Hugo"),
    ("In 2022 I lived in Perth.", "Perth", "In 2022 I lived in Quito.", "Quito"),
    ("My favourite colour is red.", "red", "My favorite color is green.", "green"),
    ("My rent is 700 euros.", "700 euros", "Since May my rent is 750 euros.", "750 euros"),
    ("Anna lives in Rome.", "Rome", "Anna's home is in Lima.", "Lima"),
    ("My home is in Tampa.", "Tampa", "I live in Denver.", "Denver"),
    ("The train to Paris leaves at 8.", "8", "The train to Paris departs at 9.", "9"),
    ("I work as a baker.", "baker", "I now work as a nurse.", "nurse"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "value", "other", "its"), OTHERS)
def test_another_number_name_date_or_thing_is_another_subject(one: str, value: str, other: str, its: str) -> None:
    """Whichever was told first."""
    assert other_subject(one, value, other, its) and other_subject(other, its, one, value)


@pytest.mark.parametrize(("one", "value", "other", "its"), SAME)
def test_another_value_is_no_other_subject(one: str, value: str, other: str, its: str) -> None:
    """In the same words or others; whichever was told first."""
    assert not other_subject(one, value, other, its) and not other_subject(other, its, one, value)


def test_words_that_tell_one_thing_from_the_next() -> None:
    assert fixed_words("Is gate 12b of the second floor open on Monday in 2020?") == {"12b", "second", "monday", "2020"}


def test_facts_of_one_form_are_kept_and_answered_each_by_itself(tmp_path: Path) -> None:
    """Five gates: none replaces another, the reply says which is kept beside it, undo takes the last back; a gate's new code
    replaces its old one."""
    with Mind.create("m", "baseline", tmp_path) as mind:
        said = [mind.say(f"The code of gate {gate} is {1000 + gate}.", "teach") for gate in range(1, 6)]
        assert len(mind.traces()) == 5
        for gate in range(1, 6):
            answer = mind.ask(f"What is the code of gate {gate}?")
            assert isinstance(answer, Answer) and answer.text == str(1000 + gate)
        doubted = [one for one in said if isinstance(one, Taught) and one.beside]
        assert doubted and all("I keep “The code of gate" in one.text and "as well" in one.text for one in doubted)
        mind.say("The code of gate 5 is 7777.", "teach")
        assert (
            mind.ask("What is the code of gate 5?").text == "7777"
            and mind.ask("What is the code of gate 4?").text == "1004"
        )
        assert mind.undo() == "teach" and mind.ask("What is the code of gate 5?").text == "1005"
        mind.say("My phone number is 555123.", "teach")
        told = mind.say("My phone number is now 555987.", "teach")
        assert (
            isinstance(told, Taught)
            and [t.text for t in told.replaced] == ["My phone number is 555123."]
            and not told.beside
        )
