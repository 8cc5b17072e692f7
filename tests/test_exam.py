"""The exam's yardsticks: intervals, ranks and facts can be trusted."""

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lab.cli import main
from lab.config import FAMILIES, ConfigError, MindConfig
from lab.data.curriculum.facts import clash
from lab.exam.calibration import Pair, calibrate, fit
from lab.exam.measure import Measure, bm25, facts_for_exam, right
from lab.exam.minds import PARTS, Exam, check_parts, check_whole
from lab.mind.home import find_brain
from lab.mind.reader.judgement import load_fitted
from lab.report import write_results
from lab.report.results import key_rows


def test_intervals_are_wilsons() -> None:
    """Known values: 8 of 10 is 0.49 to 0.94; 0 of 20 ends at 0.16; a plain number has only itself."""
    assert Measure("b", "m", 8, 10).interval == pytest.approx((0.490, 0.943), abs=1e-3)
    assert Measure("b", "m", 0, 20).interval == pytest.approx((0.0, 0.161), abs=1e-3)
    assert Measure("b", "m", 20, 20).interval == pytest.approx((0.839, 1.0), abs=1e-3)
    assert Measure("b", "seconds", 42, 0).interval == (42.0, 42.0)


def test_a_goal_is_reached_from_the_right_side() -> None:
    assert Measure("b", "m", 95, 100, 0.95).reached
    assert Measure("b", "m", 3, 100, 0.05, True).reached
    assert not Measure("b", "m", 7, 100, 0.05, True).reached
    assert Measure("b", "control", 7, 100).reached is None


def test_only_the_value_itself_is_right() -> None:
    """Case, a first article and a last stop aside; nothing more, nothing less."""
    assert right("alice", "Alice") and right(" Alice", "Alice") and right("the pony", "pony") and right("Dr.", "Dr")
    assert not right("Alice Brown", "Alice") and not right(None, "Alice") and not right("", "Alice")


def test_bm25_ranks_as_the_formula_says() -> None:
    """Rare words count more than common ones, what does not match comes last; and the library is the formula, text by text."""
    texts = ["the cat sat", "the dog sat", "the cat and the dog", "a bird"]
    assert bm25(texts, ["bird", "the cat", "zebra"], 2) == [[0, 3], [0, 2], [0, 1]]
    facts = facts_for_exam("search", 60)
    said, asked = [fact.say(number % 3) for number, fact in enumerate(facts)], [fact.ask(-1) for fact in facts]
    split = [re.findall(r"\w+", text.lower()) for text in said]
    mean, holding = sum(map(len, split)) / len(split), Counter(word for words in split for word in set(words))

    def score(query: str, words: list[str]) -> float:
        return sum(
            math.log(1 + (len(split) - holding[word] + 0.5) / (holding[word] + 0.5)) * words.count(word)
            / (words.count(word) + 1.2 * (0.25 + 0.75 * len(words) / mean))
            for word in re.findall(r"\w+", query.lower())
        )  # fmt: skip

    best = [sorted(sorted(range(60), key=lambda i: -round(score(query, split[i]), 9))[:4]) for query in asked]
    assert bm25(said, asked, 4) == best


def test_facts_of_an_exam_do_not_answer_each_other() -> None:
    """No two of them clash; another seed gives others; held-out relations are held out."""
    facts = facts_for_exam("a", 60)
    assert not any(clash(a, b) for i, a in enumerate(facts) for b in facts[:i])
    assert {f.say(0) for f in facts}.isdisjoint({f.say(0) for f in facts_for_exam("b", 60)})
    assert all(f.relation.unseen for f in facts_for_exam("a", 20, unseen=True))
    assert facts_for_exam("a", 60) == facts


def test_a_fit_finds_the_weights_that_answers_were_drawn_by() -> None:
    """Of 4,000 pairs drawn from a logistic model, its weights to 0.15; a fit of anything else would be off by more."""
    draws = np.random.default_rng(0)
    seen = np.column_stack([np.ones(4000), draws.normal(size=(4000, 2))])
    answers = draws.random(4000) < 1 / (1 + np.exp(-seen @ [-0.5, 2.0, -1.0]))
    pairs = [Pair(row.tolist(), bool(answer)) for row, answer in zip(seen, answers, strict=True)]
    assert fit(pairs) == pytest.approx([-0.5, 2.0, -1.0], abs=0.15)


def test_calibration_fits_every_weight_in_use() -> None:
    """From facts told to a starter: all that can be fitted is there, finite, beside what is in use."""
    starter = find_brain("baseline", Path("none"))
    fitted = calibrate([starter], "test", (1, 3), (2,))
    stands = load_fitted()
    assert [used for used, _ in fitted.values()] == [*stands.alone, *stands.answers, *stands.about_one]
    assert all(math.isfinite(weight) for _, weight in fitted.values())


def test_a_result_stands_between_its_marks_and_its_key_rows_in_the_readme(tmp_path: Path) -> None:
    """Written twice it stands once; what is around it stays; a table without marks is refused."""
    (tmp_path / "notebooks").mkdir()
    results, readme = tmp_path / "notebooks" / "RESULTS.md", tmp_path / "README.md"
    results.write_text("Before.\n<!-- bench exam -->\n<!-- end -->\nAfter.\n")
    readme.write_text("<!-- bench key -->\nold\n<!-- end -->\n")
    rows = [
        {"brain": brain, "measure": measure, "value": value, "n": 1200}
        for brain, value in (("a", 0.5), ("b", 1.0))
        for measure in ("one note, held-out wording", "control: no memory")
    ]
    for _ in range(2):
        write_results({"bench": "exam", "rows": rows}, tmp_path)
    text = results.read_text()
    assert text.startswith("Before.\n") and text.endswith("<!-- end -->\nAfter.\n")
    assert text.count("| a | control: no memory | 0.5 | 1,200 |") == 1
    table = "| measure | a | b |\n| --- | --- | --- |\n| one note, held-out wording | 0.5 | 1 |"
    assert readme.read_text() == f"<!-- bench key -->\n{table}\n<!-- end -->\n"
    with pytest.raises(ConfigError, match=r"RESULTS\.md must have a line <!-- bench mind -->"):
        write_results({"bench": "mind", "rows": rows}, tmp_path)
    for cut in ("<!-- bench exam -->\nold\n", "<!-- bench exam -->\nold\n<!-- bench store -->\n<!-- end -->\n"):
        results.write_text(cut)
        with pytest.raises(ConfigError, match=r"RESULTS\.md must have a line <!-- end --> below <!-- bench exam -->"):
            write_results({"bench": "exam", "rows": rows}, tmp_path)
        assert results.read_text() == cut


def test_an_exam_of_less_than_is_published_does_not_replace_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a part, a starter or a fact; it is refused before anything is asked, in one sentence."""
    check_whole([*FAMILIES], [], 200)
    check_whole([*FAMILIES], [*PARTS], 200)
    for brains, parts, facts in (([*FAMILIES], ["notes"], 200), (["qor"], [], 200), ([*FAMILIES], [], 20)):
        with pytest.raises(
            ConfigError, match=r"results must be of all parts, all starters .*; got .*\. Leave out --parts"
        ):
            check_whole(brains, parts, facts)
    published = (Path(__file__).parents[1] / "notebooks" / "RESULTS.md").read_text()
    for options in (["--parts", "notes"], ["--brains", "qor"], ["--facts", "20"]):
        assert main(["exam", "--results", *options]) == 2
        assert "results must be of all parts" in capsys.readouterr().err
    assert (Path(__file__).parents[1] / "notebooks" / "RESULTS.md").read_text() == published


def test_an_unknown_part_of_the_exam_is_refused_by_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_parts([]) == [*PARTS] and check_parts(["naive", "notes"]) == ["notes", "naive"]
    assert main(["exam", "--parts", "notes,typo"]) == 2
    assert f"parts must be some of {', '.join(PARTS)}; got 'typo'." in capsys.readouterr().err


def test_an_exam_without_its_free_sentences_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not passed over in silence; other parts can be taken."""
    monkeypatch.setattr("lab.exam.minds.FREEFORM", tmp_path / "freeform.jsonl")
    for parts in ([], ["freeform"]):
        with pytest.raises(ConfigError, match=r"freeform must have its sentences in .*freeform\.jsonl"):
            next(Exam("qor", tmp_path, MindConfig()).run(parts))
    assert check_parts(["notes"]) == ["notes"]


def test_what_was_lost_is_counted_apart_from_what_was_won(tmp_path: Path) -> None:
    """Two lost and two won are not nothing: each is a count of its own, with its interval."""
    before, after = [True] * 5 + [False] * 5, [False] * 2 + [True] * 5 + [False] * 3
    lost, won = Exam("b", tmp_path, MindConfig())._changed("facts {} by a night", before, after, 0.1)
    assert (lost.name, lost.right, lost.of, lost.goal, lost.reached) == ("facts lost by a night", 2, 10, 0.1, False)
    assert (won.name, won.right, won.of, won.goal) == ("facts won by a night", 2, 10, None)
    assert lost.interval == won.interval == pytest.approx((0.057, 0.510), abs=1e-3)


def test_the_readme_is_short_and_shows_what_the_results_say() -> None:
    """At most 200 lines; each row of its table is one of RESULTS.md."""
    root = Path(__file__).parents[1]
    readme, results = (root / "README.md").read_text(), (root / "notebooks" / "RESULTS.md").read_text()
    assert len(readme.splitlines()) <= 200
    rows = key_rows(results)
    assert len(rows) >= 8
    for row in rows:
        assert "| " + " | ".join(row.values()) + " |" in readme
