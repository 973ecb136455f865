"""How much slower a busy vtorc asks, and what operators hear of it."""

import pytest

from vtorc.control.observer import lateness_announcement
from vtorc.core.facts.rules import Rule
from vtorc.discovery.lateness import BEAT
from vtorc.discovery.slow_down import SLOWEST, LatenessNews, SlowDown


def beats(slow_down: SlowDown, took: float, seconds: float) -> None:
    """Let beats of `took` seconds come for so many seconds."""
    for _ in range(round(seconds / took)):
        slow_down.beat(took)


def test_pauses_double_while_the_loop_is_busy_and_shrink_afterwards() -> None:
    """The factor doubles every two seconds up to its limit, and falls back to exactly one."""
    slow_down, factors = SlowDown(lambda news: None), []
    for _ in range(6):
        beats(slow_down, 0.1, 2.1)
        factors.append(slow_down.factor)
    assert factors == [2.0, 4.0, 8.0, SLOWEST, SLOWEST, SLOWEST]
    beats(slow_down, BEAT, 10.0)
    assert 1.0 < slow_down.factor < SLOWEST
    beats(slow_down, BEAT, 40.0)
    assert slow_down.factor == 1.0


def test_a_loop_that_is_somewhat_busy_keeps_its_pace() -> None:
    """Between the two shares the factor stays, so that it does not swing."""
    slow_down = SlowDown(lambda news: None)
    beats(slow_down, 0.1, 2.1)
    beats(slow_down, BEAT / 0.75, 20.0)
    assert slow_down.factor == 2.0


def test_drag_follows_the_beats() -> None:
    """It approaches the seconds by which beats are late, and falls again."""
    slow_down = SlowDown(lambda news: None)
    beats(slow_down, BEAT + 0.2, 10.0)
    assert slow_down.drag == pytest.approx(0.2, abs=0.01)
    beats(slow_down, BEAT, 2.0)
    assert slow_down.drag < 0.01


def test_lateness_is_told_once_and_its_end_once() -> None:
    """However long vtorc stays late there is one piece of news; its end comes after half a minute on time."""
    told: list[LatenessNews] = []
    slow_down = SlowDown(told.append)
    beats(slow_down, 0.09, 60.0)  # busy, and on time
    assert told == []
    beats(slow_down, 0.5, 120.0)
    slow_down.beat(3.0)
    beats(slow_down, BEAT, 20.0)
    beats(slow_down, 0.5, 4.0)
    beats(slow_down, BEAT, 29.0)
    assert [news.is_over for news in told] == [False]
    beats(slow_down, BEAT, 5.0)
    assert [(news.is_over, news.worst) for news in told] == [(False, 0.5), (True, 3.0)]
    beats(slow_down, 0.5, 4.0)
    assert [(news.is_over, news.worst) for news in told[2:]] == [(False, 0.5)]


def test_the_news_names_the_worst_round_and_what_to_do() -> None:
    """The announcement has its own rule, the seconds as a field, and the way out."""
    begins = lateness_announcement(LatenessNews(9.41, 4.0, is_over=False))
    assert (begins.rule, begins.late_seconds, begins.is_end) == (Rule.LATE, 9.41, False)
    assert "took up to 9.4 s" in begins.sentence
    assert "4 times as seldom" in begins.sentence
    ends = lateness_announcement(LatenessNews(9.41, 1.0, is_over=True))
    assert ends.is_end
    assert "on time again" in ends.sentence


def test_a_loop_whose_beats_come_late_is_not_on_time() -> None:
    """Neither is one that has not got back to its full pace yet."""
    slow_down = SlowDown(lambda news: None)
    assert slow_down.is_on_time
    beats(slow_down, BEAT + 0.005, 2.1)
    assert (slow_down.factor, slow_down.is_on_time) == (1.0, False)
    beats(slow_down, 0.1, 2.1)
    beats(slow_down, BEAT, 5.0)
    assert slow_down.factor > 1.0
    assert not slow_down.is_on_time
    beats(slow_down, BEAT, 40.0)
    assert slow_down.is_on_time
